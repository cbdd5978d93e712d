#!/bin/sh
# killed.sh PROGRAM FOLDER   The program killed at several moments, and then let be, leaves the bytes that it
# leaves when nobody disturbs it. Fails if it was never killed.
set -eu
program=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder/killed"
run() {
    "$program" --quick --steps 3000 --out "$folder/$1"
}
steps() {
    cat "$folder/killed/run.csv" 2>/dev/null | wc -l
}

run alone >/dev/null
for enough in 300 1100 1900; do
    "$program" --quick --steps 3000 --out "$folder/killed" >/dev/null 2>&1 &
    while kill -0 $! 2>/dev/null && [ "$(steps)" -lt $enough ]; do
        sleep 0.01
    done
    kill -KILL $! 2>/dev/null || true
    status=0
    wait $! 2>/dev/null || status=$?
    if [ $status -ne 137 ]; then
        echo "ended with status $status before it could be killed"
        exit 1
    fi
    echo "killed in step $(steps)"
done
run killed
for file in run.csv run.ckpt samples.svg; do
    cmp "$folder/alone/$file" "$folder/killed/$file"
done
