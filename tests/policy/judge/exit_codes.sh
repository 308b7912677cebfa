#!/bin/sh
# What ringfence-judge answers by its exit code: 0 if all holds, 1 if something does not, 2 if it did not understand.
judge=$1
data=tests/data/health
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

expect() {
  wanted=$1
  shift
  "$judge" "$@" >"$made/out" 2>&1
  got=$?
  if [ $got -ne "$wanted" ]; then
    cat "$made/out"
    echo "$* ended with $got, wanted $wanted"
    exit 1
  fi
}

expect 0 --vectors $data/vectors.json
grep -q '"passed": true' "$made/out" || exit 1
# One weight of the grid is another.
sed '0,/ 3000/s// 3001/' $data/vectors.json >"$made/vectors.json"
expect 1 --vectors "$made/vectors.json"
expect 1 --vectors $data/benchmark.json
expect 1 --vectors "$made/none.json"

expect 0 --bench $data/benchmark.json --only '^good-quiet$' --rollouts 2 -j 1
# Nothing is complete before its first host.
sed 's/"complete_tick_median_max": 140/"complete_tick_median_max": 1/' $data/benchmark.json >"$made/bench.json"
expect 1 --bench "$made/bench.json" --only '^good-quiet$' --rollouts 2 -j 1
# A scenario that is not understood whole has failed, also when all others hold.
sed 's/"pattern": "flat"/"pattern": "weekly"/' $data/benchmark.json >"$made/bench.json"
expect 1 --bench "$made/bench.json" --only '^good-quiet$' --rollouts 2 -j 1
expect 2 --bench $data/benchmark.json --only '^no such scenario$'
expect 2 --bench $data/benchmark.json --only '['
expect 2 --bench $data/vectors.json
expect 2 --bench "$made/none.json"
expect 2
expect 2 --bench $data/benchmark.json --vectors $data/vectors.json
