from small_training import prepared, run

__all__ = ["prepared", "run"]
