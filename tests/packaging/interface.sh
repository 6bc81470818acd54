#!/usr/bin/env bash
# What programs built against vulcat.h and its parts rely on: names of functions, and where the fields of each struct lie.
#   interface.sh symbols VULCAT_H     one function a line
#   interface.sh layout VULCAT_H      "struct.field offset size" a line, as this machine's C compiler lays them out
# The lists beside this script are what was promised. After a change that is meant: interface.sh symbols ... >symbols.txt,
# interface.sh layout ... >layout.txt. Adding at the end needs a new minor version, anything else, once 1.0 is out, a major one.
set -euo pipefail
what=$1 header=$2
case $what in
symbols)
    grep -hE '^VULCAT_API ' "${header%/*}"/vulcat*.h | grep -oE '\bvulcat[A-Za-z0-9]+\(' | tr -d '(' | LC_ALL=C sort
    ;;
layout)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # The preprocessor takes the comments away. In a struct the name before ; or [ is a field, or, for a pointer to a
    # function, the one in (*name).
    "${CC:-cc}" -std=c99 -E -P "$header" | awk '
        /^typedef struct Vulcat[A-Za-z]+ \{/ { name = $3; next }
        /^\}/ { name = "" }
        name != "" && /;/ {
            field = $0
            if (match(field, /\(\*[A-Za-z0-9]+\)/)) field = substr(field, RSTART + 2, RLENGTH - 3)
            else { sub(/[;\[].*/, "", field); sub(/.*[ *]/, "", field) }
            printf "    FIELD(%s, %s)\n", name, field
        }' >"$work/fields"
    {
        echo '#include "vulcat.h"'
        echo '#include <stdio.h>'
        echo '#define FIELD(s, f) printf("%s.%s %u %u\n", #s, #f, (unsigned)offsetof(s, f), (unsigned)sizeof ((s*)0)->f);'
        printf 'int main(void) {\n'
        cat "$work/fields"
        printf '    return 0;\n}\n'
    } >"$work/layout.c"
    "${CC:-cc}" -std=c99 -I "$(dirname "$header")" "$work/layout.c" -o "$work/layout"
    "$work/layout"
    ;;
esac
