#!/usr/bin/env bash
# The kernels' tests under the address sanitizer: reads and writes beyond any allocation, not only beyond guard pages.
# (Buffers of 2 MiB and more are mapped, and have nothing around them that it would find; most tests have smaller ones.)
# The sanitizer's runtime comes with the compiler; switching it on needs the flags of a nightly one, which
# RUSTC_BOOTSTRAP unlocks for this crate alone.
# Undefined behaviour within an allocation is looked for by check-miri.sh.
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
