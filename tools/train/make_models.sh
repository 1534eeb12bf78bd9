#!/bin/sh
# Everything from nothing: text, four trained models, exported models, expectations, results.
# usage: tools/train/make_models.sh WORK [PYTHON]      (WORK: folder for text, checkpoints and logs)
# Interrupted, it goes on from the last checkpoints when it is run again.
set -eu
work=$1
python=${2:-/usr/bin/python3}
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../models

# One process on each of two cores is faster than one on both.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
for jemalloc in /usr/lib/*/libjemalloc.so.2; do
	# glibc gives large blocks back to the kernel and faults them in again at every step
	[ -e "$jemalloc" ] && export LD_PRELOAD="$jemalloc" MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1
done

"$python" "$here/corpus.py" "$work"
train() {
	"$python" "$here/train.py" "$1" --text "$work/train.txt" --out "$work/$1" >>"$work/$1.log" 2>&1
}
(train gqe && train weighted_concat) &
first=$!
(train gqa && train hard_concat) &
second=$!
wait $first
wait $second

cp "$work/heldout.txt" "$models/"
for variant in gqe gqa; do
	"$python" "$here/export.py" "$work/$variant/checkpoint.pt" "$models/$variant-2m"
	"$python" "$here/expected.py" "$models/$variant-2m" "$models/expected/$variant-2m.safetensors" --text "$work/heldout.txt"
done
"$python" "$here/results.py" "$work" "$here"
