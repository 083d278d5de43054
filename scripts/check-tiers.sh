#!/usr/bin/env bash
# The kernels' tests for processors that this machine is not, where Debian's emulators run them (packages qemu-user,
# gcc-aarch64-linux-gnu and libc6-dev-arm64-cross):
#   aarch64     neon on a Cortex-A53; neon_dot, neon_i8mm and neon_bf16 on a processor with everything that the emulator knows
#   x86-64      portable and avx2 on a processor without AVX-512: emulators of Debian 12 know no wider vectors
# The tiers with AVX-512 or AMX are tested on a processor that has them, by the ordinary tests: no emulator here knows them.
# What is missing is said aloud; without an emulator of aarch64 its tests are compiled nevertheless.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
skipped=0
skip() {
    echo "SKIPPED: $1"
    skipped=$((skipped + 1))
}

# The tests for a target, under an emulator; they fail where that lacks the tier named. Those for this machine's own
# architecture share the folder of its other builds, so that no dependency is built again.
tests_of() {
    local tier=$1 target=$2 runner=$3
    shift 3
    local name=${target^^}
    name=${name//-/_}
    local other=(--target "$target")
    [ "$target" != "$host" ] || other=()
    env "INFERKIT_KERNELS=$tier" "CARGO_TARGET_${name}_RUNNER=$runner" \
        cargo test --locked --quiet -p inferkit-kernels --lib "${other[@]}" -- "$@"
}

aarch64=aarch64-unknown-linux-gnu
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$aarch64" ]; then
    skip "aarch64: the toolchain has no standard library for it (rustup target add $aarch64)"
elif ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null; then
    # Types and instructions are checked all the same: neither takes a linker or an emulator.
    echo "aarch64: the tests compile"
    cargo check --locked --quiet -p inferkit-kernels --tests --target "$aarch64"
    skip "aarch64: the tests compile, but do not run; install qemu-user, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"
else
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    for pair in neon:cortex-a53 neon_bf16:max; do
        echo "aarch64, ${pair#*:}: tiers up to ${pair%:*}"
        tests_of "${pair%:*}" "$aarch64" "qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu ${pair#*:}"
    done
fi

x86_64=x86_64-unknown-linux-gnu
if [ "$host" != "$x86_64" ]; then
    skip "x86-64 without AVX-512: it is emulated on x86-64 only"
elif ! command -v qemu-x86_64 >/dev/null; then
    skip "x86-64 without AVX-512: install qemu-user"
else
    # qemu 7.2 differs from processors in two ways: it reads the whole vector of a masked load, and faults at guard pages; and
    # it takes subnormal half-precision numbers for zero while denormals are (DAZ), which the five tests left out see.
    echo "x86-64, Haswell, without guard pages and subnormal scales"
    INFERKIT_NO_GUARD_PAGES=1 tests_of avx2 "$x86_64" "qemu-x86_64 -cpu Haswell" \
        --skip every_format_on_every_tier_is_the_product --skip long_rows_cross_every_slice \
        --skip denormal_weights_count_as_zero_unless_they_are_numbers_in_f32 \
        --skip a_subnormal_scale_counts_though_denormals_are_zero --skip groups_of_activations_keep_scales_of_their_own
fi
[ "$skipped" -eq 0 ] || echo "$skipped of 2 processors were skipped"
