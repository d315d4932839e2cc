"""The types of the fields that several bodies have."""

from typing import Annotated, Any

from msgspec import Meta

NUMBERS = {"type": "array", "items": {"type": "number"}}
COLUMNS_REF = {"$ref": "#/components/schemas/Columns"}
_IMAGE = "A PNG or JPEG, if the model's `image` is set: base64, alone or in a `data:` URL; binary in msgpack"
_INPUT = {
    "anyOf": [
        {
            "type": "array",
            "items": {},
            "description": "Numbers: a flat row, or nested like the model's `shape`",
        },
        {"type": "string", "description": _IMAGE},
        COLUMNS_REF,
    ]
}
_TARGET = {"anyOf": [{"type": ["number", "string", "boolean"]}, NUMBERS]}
Inputs = Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": _INPUT})]
Targets = Annotated[list[Any], Meta(extra_json_schema={"items": _TARGET})]
LABEL = {"type": ["string", "integer", "boolean"]}
Classes = Annotated[list[Any], Meta(min_length=1, extra_json_schema={"items": LABEL})]
SupportInputs = Annotated[list[Any], Meta(extra_json_schema={"items": _INPUT})]
Labels = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": LABEL})]
ExampleNumbers = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": "integer"}})]
CutExamples = Annotated[
    ExampleNumbers,
    Meta(
        description="The numbers of the examples of `support`, counted from 0, that are longer than the "
        "`max_tokens` of the model's inputs: the model reads only their beginning. Left out if there are none"
    ),
]
Numbers = Annotated[Any, Meta(extra_json_schema=NUMBERS)]
Array = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": NUMBERS})]
Bounds = Annotated[
    Any, Meta(extra_json_schema={"type": "array", "items": {"type": "array", "items": {"type": ["number", "null"]}}})
]
ShownInputs = Annotated[
    Any, Meta(extra_json_schema={"type": "array", "items": {"anyOf": [NUMBERS, {"type": "string"}, COLUMNS_REF]}})
]
Losses = Annotated[Any, Meta(extra_json_schema={"type": "array", "items": {"type": ["number", "null"]}})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Steps = Annotated[
    int,
    Meta(
        description="Number of inner steps, from 0 to the model's `max_steps`. Without it, the model's default "
        "applies. Models that adapt in closed form take only their default",
        ge=0,
    ),
]
Rate = Annotated[
    float,
    Meta(
        description="Step size of the inner loop, above 0 and at most the model's `max_learning_rate`. Without it, the "
        "model's default applies. Leave it out for models that have learned rates or adapt in closed form: these have "
        "no `max_learning_rate`",
        gt=0,
    ),
]
LabelNames = Annotated[
    bool,
    Meta(
        description="For models whose inputs are texts: `true` counts the words of each label, such as `card_arrival`, "
        "as one more example of its class; labels without words, such as `A7` or `3`, have none. `false` does not. "
        "Without it, the model's `label_names` applies"
    ),
]
Digest = Annotated[str, Meta(description="Version of the model: the digest of its bundle, 64 hexadecimal digits")]
WantedDigest = Annotated[
    str,
    Meta(
        description="Version of the model that the request is for, if you rely on what `GET /models/{name}` says, such "
        "as the order of columns. If another version would answer, you get a 409 with its digest, and nothing is "
        "stored. Without it, the request is for any version"
    ),
]
KindName = Annotated[
    str,
    Meta(
        description="What the model predicts: `regression` (numbers), `classification` (labels) or `decision` (actions)"
    ),
]
AdaptationId = Annotated[str, Meta(description="Id of the adaptation, 32 hexadecimal digits")]
