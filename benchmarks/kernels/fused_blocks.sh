#!/bin/sh
# Fused blocks against oneDNN on each instruction set: fused_blocks.sh PATH_OF_fused_blocks [CPU] [ARGUMENTS...]
# On one CPU, which nothing else should use.
set -eu
program=$1
cpu=${2:-0}
shift; [ $# -eq 0 ] || shift
for isa in avx2 avx512; do
  case $isa in avx2) onednn=AVX2 ;; *) onednn=AVX512_CORE ;; esac
  MOBILEONE_MAX_ISA=$isa ONEDNN_MAX_CPU_ISA=$onednn OMP_NUM_THREADS=1 taskset -c "$cpu" "$program" "$@"
done
