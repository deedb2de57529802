import os

from aframe.machine.shared_set import SharedSet


def test_a_text_is_new_once_whoever_adds_it():
    texts = SharedSet()
    child = os.fork()
    if child == 0:
        os._exit(0 if texts.add("no strain") and not texts.add("no strain") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not texts.add("no strain")
    assert texts.add("no memory")


def test_what_a_killed_process_has_half_written_is_overwritten():
    texts = SharedSet()
    texts.add("first")
    os.pwrite(texts._file.fileno(), b"half", 32)
    assert texts.add("second")
    assert not texts.add("second")
    assert not texts.add("first")
