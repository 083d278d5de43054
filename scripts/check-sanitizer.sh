#!/usr/bin/env bash
# The kernels' tests under the address sanitizer: reads and writes beyond any allocation, not only beyond guard pages.
# The sanitizer's runtime comes with the compiler; switching it on needs the flags of a nightly one, which
# RUSTC_BOOTSTRAP unlocks for this crate alone.
#
# Miri, which would find undefined behaviour within an allocation, needs its own component of a nightly toolchain and runs
# here when `cargo miri` does; it knows no vector instructions beyond a few and takes the portable tier.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
if ! ls "$(rustc --print sysroot)/lib/rustlib/$target/lib/"*asan* >/dev/null 2>&1; then
    echo "SKIPPED: this compiler comes without the address sanitizer"
else
    # Stack memory that outlives its function is found too; leaks are not looked for, since threads end after main does.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1 \
        cargo test --locked --quiet -p inferkit-kernels --lib --target "$target" --target-dir target/sanitizer
fi

if cargo miri --version >/dev/null 2>&1; then
    INFERKIT_KERNELS=portable MIRIFLAGS=-Zmiri-disable-isolation cargo miri test -p inferkit-kernels --lib -- simd:: scratch:: aligned:: rows::
else
    echo "SKIPPED: Miri is not part of this toolchain (rustup component add miri, of a nightly one)"
fi
