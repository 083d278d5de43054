#!/usr/bin/env bash
# The kernels' tests under Miri, which interprets them and finds undefined behaviour that neither guard pages nor the address
# sanitizer see: reads of memory that was never written, references that alias, races between threads.
#
# Miri knows next to no vector instructions and no assembly, so that it takes the portable tier; kernels for tile registers run
# with the model of those. Long tests are cut short (`testing::cut`), the longest are left out here or ignored where they stand.
#
# All of it takes an hour; arguments name tests, of which `make test` asks for some.
#
# It is a component of nightly toolchains: rustup component add --toolchain nightly miri rust-src
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo miri --version >/dev/null 2>&1; then
    cargo=(cargo)
elif cargo +nightly miri --version >/dev/null 2>&1; then
    cargo=(cargo +nightly)
else
    echo "SKIPPED: Miri is not part of this toolchain (rustup component add --toolchain nightly miri rust-src)"
    exit 0
fi

# Without isolation the tests see INFERKIT_KERNELS and what Linux says about processors.
export INFERKIT_KERNELS=portable
# Floats as processors compute them: Miri would else vary what `powi` and its like give in their last bits.
export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-deterministic-floats ${MIRIFLAGS:-}"
"${cargo[@]}" miri test --locked -p inferkit-kernels --lib -- "$@"
