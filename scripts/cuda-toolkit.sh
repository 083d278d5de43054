#!/usr/bin/env bash
# Puts CUDA 12.4's compiler into a folder, without installing anything: unpacked from Debian's package and
# NVIDIA's wheels, every file checked against the hash below. About a minute and 300 MB; a second run does nothing.
#   scripts/cuda-toolkit.sh [FOLDER]      (default: .cache/cuda-12.4)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:-.cache/cuda-12.4}")
[ -e "$folder/complete" ] && { echo "$folder"; exit 0; }

say() { echo "cuda-toolkit: $*" >&2; }
for tool in apt-get dpkg-deb gcc unzip python3 sha256sum; do
  command -v "$tool" >/dev/null || { say "$tool is missing; on Debian: apt-get install gcc unzip python3"; exit 1; }
done
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || { say "$keys is missing; on Debian: apt-get install debian-archive-keyring"; exit 1; }

parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
package=nvidia-cuda-toolkit_12.4.131~12.4.1-2_amd64.deb
hashes="
cd5fe85aee38d108b315f408a688641478f2402622a10c677478eb7a6c4e5319  $package
2027fa5fc75fbee703bf24e8275a40a605cf94a3e8fef8a7187897d49b34facb  nvidia_cuda_cccl_cu12-12.4.127.post1-py3-none-manylinux2014_x86_64.whl
e4c9a35435c3b0e36c6397c5696334c9ea6650e524736cbd1c5d345ea099bb04  nvidia_cuda_nvcc_cu12-12.4.131-py3-none-manylinux2014_x86_64.whl
64403288fa2136ee8e467cdc9c9427e0434110899d07c779f25b5c068934faa5  nvidia_cuda_runtime_cu12-12.4.127-py3-none-manylinux2014_x86_64.whl
25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3  nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
a88f583d4e0bb643c49743469964103aa59f7f708d862c3ddb0fc07f851e3b8b  nvidia_curand_cu12-10.3.5.147-py3-none-manylinux2014_x86_64.whl
"

say "fetching the compiler from Debian 13 (non-free) and the headers from pip"
site=$(apt-get indextargets --format '$(SITE)' | grep -m 1 '/debian/\?$' || true)
mkdir -p "$parts/lists/partial" "$parts/cache/archives/partial"
echo "deb [signed-by=$keys] ${site:-http://deb.debian.org/debian} trixie main contrib non-free" >"$parts/sources"
cat >"$parts/apt.conf" <<CONF
Dir::Etc::sourcelist "$parts/sources";
Dir::Etc::sourceparts "-";
Dir::State::Lists "$parts/lists";
Dir::Cache "$parts/cache";
APT::Sandbox::User "";
CONF
(cd "$parts" && export APT_CONFIG="$parts/apt.conf" &&
  apt-get -qq update && apt-get -qq download nvidia-cuda-toolkit=12.4.131~12.4.1-2)
fetch() { python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$parts" "$@"; }
fetch nvidia-cuda-runtime-cu12==12.4.127 nvidia-cuda-cccl-cu12==12.4.127.post1 nvidia-cuda-nvcc-cu12==12.4.131 \
  nvidia-curand-cu12==10.3.5.147
# The wheel of 12.4 has no static runtime; any runtime of 12.x works on every driver of 12.x.
fetch nvidia-cuda-runtime-cu12==12.9.79
(cd "$parts" && echo "$hashes" | sed '/^$/d' | sha256sum --check --quiet)

rm -rf "$folder"
mkdir -p "$folder"/{bin,nvvm/bin,nvvm/libdevice,include,link/lib64}
dpkg-deb -x "$parts/$package" "$parts/debian"
tools=$parts/debian/usr/lib/nvidia-cuda-toolkit
cp "$tools/bin/nvcc" "$folder/bin/"
cp "$tools/bin/cicc" "$folder/nvvm/bin/"
cp "$tools/libdevice/libdevice.10.bc" "$folder/nvvm/libdevice/"
cp -r "$tools/bin/crt" "$folder/bin/"
for tool in cudafe++ fatbinary nvlink ptxas cuobjdump nvdisasm bin2c; do cp "$parts/debian/usr/bin/$tool" "$folder/bin/"; done
for wheel in cccl_cu12-12.4 nvcc_cu12-12.4 runtime_cu12-12.4; do
  unzip -q -o "$parts"/nvidia_cuda_"$wheel"*.whl '*/include/*' -d "$parts/wheels"
done
unzip -q -o "$parts"/nvidia_curand_*.whl '*/include/*' -d "$parts/wheels"
for include in "$parts"/wheels/nvidia/*/include; do cp -r "$include/." "$folder/include/"; done
unzip -q -p "$parts"/nvidia_cuda_runtime_cu12-12.9*.whl '*/libcudart_static.a' >"$folder/link/lib64/libcudart.a"
cat >"$folder/bin/nvcc.profile" <<'PROFILE'
TOP              = $(_HERE_)/..
CICC_PATH        = $(TOP)/nvvm/bin
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH            += $(CICC_PATH):$(_HERE_):
INCLUDES        += "-I$(TOP)/include" $(_SPACE_)
LIBRARIES       =+ $(_SPACE_) "-L$(TOP)/link/lib64"
PROFILE
# Empty libraries satisfy the linker; nothing refers to them, so the program does not ask for them when it starts.
for name in cuda nvrtc curand cublas cublasLt nccl cudnn; do
  gcc -shared -Wl,-soname,"lib$name.so" -o "$folder/link/lib64/lib$name.so" -x c /dev/null
done
ln -s ../include "$folder/link/include"
"$folder/bin/nvcc" --version | tail -n 2 >&2
touch "$folder/complete"
echo "$folder"
