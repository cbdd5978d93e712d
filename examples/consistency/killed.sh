#!/bin/sh
# killed.sh PROGRAM FOLDER   The program killed at several moments, and then let be, leaves the bytes that it
# leaves when nobody disturbs it.
set -eu
program=$1 folder=$2
rm -rf "$folder"
"$program" --quick --steps 1200 --out "$folder/alone" >/dev/null
for seconds in 0.4 0.7 0.3 0.9; do
    timeout -s KILL $seconds "$program" --quick --steps 1200 --out "$folder/killed" >/dev/null 2>&1 ||
        echo "killed after $seconds seconds"
done
"$program" --quick --steps 1200 --out "$folder/killed"
for file in run.csv run.ckpt samples.svg; do
    cmp "$folder/alone/$file" "$folder/killed/$file"
done
