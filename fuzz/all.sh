#!/bin/sh
# Runs every target, two at a time, for the given number of seconds each (ten minutes unless told), and prints what was
# found. Findings do not end a run: they lie in artifacts/, and the same program with one of them as its argument shows it.
set -eu
cd "$(dirname "$0")"
seconds=${1:-600}
[ $# -eq 0 ] || shift
programs=target/x86_64-unknown-linux-gnu/release
mkdir -p logs

one() {
    target=$1
    length=65536
    words=
    case $target in
    config) length=16384 words=-dict=corpus/config.dict ;;
    keras) words=-dict=corpus/config.dict ;;
    reading) words=-dict=corpus/reading.dict ;;
    csv | toml) length=16384 words=-dict=corpus/$target.dict ;;
    esac
    mkdir -p "artifacts/$target" "corpus/$target" target/running
    # A copy, so that a build in the meantime does not change the program under way.
    cp "$programs/$target" "target/running/$target"
    # shellcheck disable=SC2086 # no word, or one without blanks
    nice -n 19 "target/running/$target" "corpus/$target" -fork=1 -ignore_crashes=1 -ignore_ooms=1 -ignore_timeouts=1 \
        -max_total_time="$seconds" -max_len=$length -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="artifacts/$target/" $words >"logs/$target.log" 2>&1 || true
    echo "$target: $(grep '^#' "logs/$target.log" | tail -n 1), $(find "artifacts/$target" -type f | wc -l) findings"
}

[ $# -gt 0 ] || set -- idx npy npz hdf5 keras config reading picture checkpoint csv toml
while [ $# -gt 0 ]; do
    one "$1" &
    if [ $# -gt 1 ]; then
        shift
        one "$1" &
    fi
    shift
    wait
done
