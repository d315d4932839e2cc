"""The patterns of query parameters, and what each stands for in an error."""

CURSOR = "^[0-9a-f]{32}$"
DIGEST = "^[0-9a-f]{64}$"
EXPECTED = {
    CURSOR: "`next` of the previous page, 32 hexadecimal digits",
    DIGEST: "`model_digest` of an adaptation or of an answer, 64 hexadecimal digits",
}
