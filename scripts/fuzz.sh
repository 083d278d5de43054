#!/bin/sh
# Runs every fuzz target of the library and of the server for a while: scripts/fuzz.sh [SECONDS] [TARGET ...]
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler; the pinned stable toolchain is enough,
# since nothing is built with a sanitizer (the readers are safe Rust; what is looked for are panics, broken
# promises, hangs and memory). Where that is missing it says so and ends well: the unit tests replay the corpus.
# An input that breaks something is copied into the corpus, where the unit tests find it.
# FUZZ_SEED=N begins the search at the same place each time (`make test` does, so that it says the same of the same
# code); without it every run searches elsewhere.
set -eu

seconds=${1:-30}
[ "$#" -gt 0 ] && shift
cd "$(dirname "$0")/.."
if ! command -v cargo-fuzz >/dev/null 2>&1 && [ "$(uname -sm)" = 'Linux x86_64' ]; then
    PATH="$(dirname "$(scripts/python.sh scripts/tools/requirements.txt)"):$PATH"
fi

skip() {
    echo "fuzz: SKIPPED, nothing was fuzzed: $1" >&2
    exit 0
}

cargo fuzz --version >/dev/null 2>&1 || skip "cargo-fuzz is not installed (cargo install cargo-fuzz --locked)"
command -v c++ >/dev/null 2>&1 || skip "there is no C++ compiler for libFuzzer"

# Dependencies that both need are built once.
built=$PWD/target/fuzz
wanted=" $* "
ran=0
status=0
for crate in inferkit inferkit-server; do
    cd "$crate"
    targets=$(cargo fuzz list)
    for target in $targets; do
        case $wanted in
        "  " | *" $target "*) ran=$((ran + 1)) ;;
        *) continue ;;
        esac
        # A build that fails is a fault of ours and not a missing tool.
        cargo fuzz build --sanitizer none --target-dir "$built" "$target"
        echo "fuzz: $target for $seconds s" >&2
        # Finds go to a scratch folder, so that the corpus in the repository stays small.
        found=$(mktemp -d)
        if ! cargo fuzz run --sanitizer none --target-dir "$built" "$target" "$found" "fuzz/corpus/$target" -- \
            -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1; then
            status=1
            for input in fuzz/artifacts/"$target"/*; do
                [ -f "$input" ] || continue
                cp "$input" "fuzz/corpus/$target/"
                echo "fuzz: $target broke on $crate/fuzz/corpus/$target/$(basename "$input")" >&2
            done
        fi
        rm -rf "$found"
    done
    cd ..
done
[ "$ran" -gt 0 ] || { echo "fuzz: there is no target named $*" >&2; exit 1; }
exit "$status"
