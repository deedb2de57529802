#!/usr/bin/env bash
# A real Triton Inference Server for the CPU, from PyPI alone: NVIDIA's own binary, as the wheel nvidia-pytriton has it.
#   ./install.sh DIRECTORY      makes DIRECTORY/bin/tritonserver, to be put on PATH; does nothing where it is there
#
# The wheel has Triton's python backend but not the one for ONNX: backends/onnxruntime in this folder is a python backend
# that runs `platform: "onnxruntime_onnx"` on ONNX Runtime. It has an environment of its own, DIRECTORY/python, since the
# wheel's python backend passes no arrays of numpy 2. PYTHON names the interpreter (3.8 to 3.13, built shared).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
mkdir -p "$1"
directory="$(cd "$1" && pwd)"
python="${PYTHON:-python3}"
recipe="$(cat "$here/install.sh" "$here"/backends/onnxruntime/model.py | sha256sum)"
[ "$(cat "$directory/installed" 2>/dev/null || true)" = "$recipe" ] && exit 0

rm -rf "${directory:?}"/{wheel,python,backends,bin,installed}
"$python" -m venv "$directory/python"
version="$("$directory/python/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
libraries="$("$directory/python/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')"
"$directory/python/bin/python" -m pip install --quiet 'numpy<2' 'onnxruntime>=1.20'
"$directory/python/bin/python" -m pip download --quiet --no-deps --dest "$directory/wheel" nvidia-pytriton==0.7.0
"$directory/python/bin/python" -m zipfile -e "$directory"/wheel/*.whl "$directory/wheel"
rm "$directory"/wheel/*.whl

server="$directory/wheel/pytriton/tritonserver"
mkdir -p "$directory/bin" "$directory/backends"
cp -r "$server/backends/python" "$here/backends/onnxruntime" "$directory/backends"
stub="$server/python_backend_stubs/$version/triton_python_backend_stub"
[ -f "$stub" ] || { echo "the wheel has no stub for Python $version: set PYTHON to a 3.8 to 3.13" >&2; exit 1; }
cp "$stub" "$directory/backends/python/"
chmod +x "$server/bin/tritonserver" "$directory/backends/python/triton_python_backend_stub"
cat > "$directory/bin/tritonserver" <<SCRIPT
#!/usr/bin/env bash
export LD_LIBRARY_PATH="$directory/wheel/nvidia_pytriton.libs:$libraries"
export PATH="$directory/python/bin:\$PATH" VIRTUAL_ENV="$directory/python"
export PYTHONPATH="$directory/python/lib/python$version/site-packages"
exec "$server/bin/tritonserver" --backend-directory="$directory/backends" --cache-directory="$server/caches" \\
    --allow-gpu-metrics=false "\$@"
SCRIPT
chmod +x "$directory/bin/tritonserver"
echo "$recipe" > "$directory/installed"
