#!/usr/bin/env bash
# A stranger's look at a grid, with nothing but the aws command line and the documents (docs/ARCHITECTURE.md), as look.py takes it
# with boto3: what lies in the bucket, the table and the queues, and messages that are delivered again.
#
#     look.sh tasks              task messages that wait, a line each; they stay
#     look.sh deliver            puts the messages of standard input on the task queue, each of them twice
#     look.sh drained            waits until nobody has anything of the task and report queues in hand
#     look.sh read JOB           checks what there is of a job that has succeeded, and prints a digest of each part
set -euo pipefail

# What nobody waits longer for.
PATIENCE_SECS=300

# The credentials it finds by itself.
ask() {
    command aws --endpoint-url "$AWS_ENDPOINT_URL" --region "$AWS_REGION" --output text "$@"
}

check() {
    local words="$1"
    shift
    if ! "$@"; then
        echo "not as documented: $words" >&2
        exit 1
    fi
}

url_of() {
    ask sqs get-queue-url --queue-name "$1"
}

tasks() {
    local url body handle
    url="$(url_of "$GRIDMILL_TASK_QUEUE")"
    ask sqs receive-message --queue-url "$url" --max-number-of-messages 3 --wait-time-seconds 20 --visibility-timeout 60 \
        --query 'Messages[].[ReceiptHandle, Body]' |
        while IFS=$'\t' read -r handle body; do
            ask sqs change-message-visibility --queue-url "$url" --receipt-handle "$handle" --visibility-timeout 0
            for field in v job stage first count attempt; do
                check "a task message has no $field: $body" grep -q "\"$field\":" <<< "$body"
            done
            echo "$body"
        done
}

deliver() {
    local url body
    url="$(url_of "$GRIDMILL_TASK_QUEUE")"
    while IFS= read -r body; do
        ask sqs send-message --queue-url "$url" --message-body "$body" > /dev/null
        ask sqs send-message --queue-url "$url" --message-body "$body" > /dev/null
    done
}

drained() {
    local queue url depths until=$((SECONDS + PATIENCE_SECS))
    while [ "$SECONDS" -lt "$until" ]; do
        depths=""
        for queue in "$GRIDMILL_TASK_QUEUE" "$GRIDMILL_REPORT_QUEUE"; do
            url="$(url_of "$queue")"
            depths+=" $(ask sqs get-queue-attributes --queue-url "$url" \
                --attribute-names ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible \
                --query 'Attributes.[ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible]')"
        done
        if [ -z "$(tr -d '0 \t\n' <<< "$depths")" ]; then
            return
        fi
    done
    echo "somebody keeps messages in hand:$depths" >&2
    exit 1
}

objects() {
    local job="$1" folder="$2" manifest
    ask s3 cp --quiet --recursive "s3://$GRIDMILL_BUCKET/jobs/$job/" "$folder"
    check "no job.json" grep -q '"pipeline"' "$folder/job.json"
    check "the receipt does not balance" grep -Eq '"balanced": ?true' "$folder/receipt.json"
    manifest="$(cd "$folder" && find . -path './*/done/??/*.json' | sort | head -n 1)"
    check "there is no manifest" [ -n "$manifest" ]
    # What was committed once is refused from then on.
    local refused
    refused="$(ask s3api put-object --bucket "$GRIDMILL_BUCKET" --key "jobs/$job/${manifest#./}" --body "$folder/job.json" \
        --if-none-match '*' 2>&1 || true)"
    check "a manifest can be written twice: $refused" grep -q PreconditionFailed <<< "$refused"
    (cd "$folder" && find . -type f | sort | xargs -d '\n' sha256sum)
}

rows() {
    local job="$1" sort version body found
    found="$(ask dynamodb query --table-name "$GRIDMILL_TABLE" --consistent-read --key-condition-expression 'pk = :job' \
        --expression-attribute-values "{\":job\": {\"S\": \"JOB#$job\"}}" --query 'Items[].[sk.S, version.N, body.B]' |
        while IFS=$'\t' read -r sort version body; do
            check "row $sort" grep -Eqx 'META|STAGE#[^/]+(/SHARD#[0-9]+)?' <<< "$sort"
            if [ "$sort" = META ]; then
                check "the row of the job" grep -Eq '"state": ?"succeeded"' <(base64 -d <<< "$body")
            fi
            echo "$sort $version $(base64 -d <<< "$body" | sha256sum)"
        done)"
    check "the job has rows of its own: $found" grep -q '^META ' <<< "$found"
    check "its stages have rows: $found" grep -q '/SHARD#' <<< "$found"
    echo "$found"
    check "the job is not in the list of jobs" [ "$(ask dynamodb get-item --table-name "$GRIDMILL_TABLE" \
        --key "{\"pk\": {\"S\": \"JOBS\"}, \"sk\": {\"S\": \"$job\"}}" --query Item.sk.S)" = "$job" ]
}

read_job() {
    # Not local: it is taken away at the very end.
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
    objects "$1" "$folder"
    rows "$1"
}

case "${1:-}" in
tasks | deliver | drained) "$1" ;;
read) read_job "$2" ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
