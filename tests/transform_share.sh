#!/usr/bin/env bash
# What a model's transforms cost a decoding step: tokens/s of a model with and of one without them, of the same size, run in
# turn; medians, and the share of the kernels in the profile: of their time as timestamps give it, which charges each dispatch
# with what an empty one costs (on CPUs the waking of threads), and of their work, which is what is left without that.
#   tests/transform_share.sh WITH_DIR WITHOUT_DIR [PAIRS]      default: 22 pairs
#   VULCAT="command"       the program, with what runs it elsewhere before it; default build/samples/vulcat
# Models of random weights: tests' program random_baked writes them.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,7s/^# *//p' "$0" >&2; exit 2; }
with=$1 without=$2 pairs=${3:-22}
read -ra vulcat <<<"${VULCAT:-$(dirname "${BASH_SOURCE[0]}")/../build/samples/vulcat}"

# Milliseconds a token.
step() {
    "${vulcat[@]}" bench "$1" -p 0 -n 32 -r 5 2>/dev/null |
        awk -F'|' '$2 ~ /tg32/ { printf "%.3f\n", 1000 / $3; found = 1 } END { exit !found }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

a=() b=()
for ((i = 0; i < pairs; ++i)); do
    if ((i % 2)); then b+=("$(step "$without")") a+=("$(step "$with")"); else a+=("$(step "$with")") b+=("$(step "$without")"); fi
done
m=$(printf '%s\n' "${a[@]}" | median) n=$(printf '%s\n' "${b[@]}" | median)
awk -v m="$m" -v n="$n" -v p="$pairs" 'BEGIN { printf "A step: %.2f ms with transforms, %.2f without, %.1f %% (medians of %d pairs)\n", m, n, 100 * (m - n) / m, p }'
"${vulcat[@]}" bench "$with" -p 256 -n 64 -r 3 --profile 2>/dev/null | awk -F'|' '
    /^Profile of/ { if (all) report(); what = $0; all = own = work = ownWork = 0 }
    NF == 9 && $4 ~ /[0-9]/ && $2 !~ /^ *empty/ {
        all += $6
        work += $6 * $5 / $4
        if ($2 ~ /row_site|site_|mix_|block_transform|quantise_rows/) { own += $6; ownWork += $6 * $5 / $4 }
    }
    function report() {
        printf "%s transforms and codes %.1f of %.1f us a token, %.1f %%; by work %.1f of %.1f us, %.1f %%\n",
            what, own, all, 100 * own / all, ownWork, work, 100 * ownWork / work
    }
    END { if (all) report() }'
