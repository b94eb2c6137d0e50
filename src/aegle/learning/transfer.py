"""Start from weights learned elsewhere, and decide what of them may change, when and how fast."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.options import option


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """Where weights come from and how they are adapted."""

    weights: Annotated[str, option("File or URL of the weights; empty to start from scratch")] = ""
    sha256: Annotated[
        str, option("SHA-256 of the file, in hexadecimal digits; required for a URL")
    ] = ""
    mode: Annotated[
        Literal["fine-tune", "probe", "thaw"],
        option("Train all, train the head only, or thaw the body from the head down in steps"),
    ] = "fine-tune"
    body_rate: Annotated[float, option("Rate of the body as a share of the head's", gt=0, le=1)] = (
        0.1
    )
    layer_decay: Annotated[
        float, option("Factor on the rate per stage from the head down", gt=0, le=1)
    ] = 1.0
    frozen_stages: Annotated[
        int, option("Stages of the body, from the image on, that stay as they are", ge=0)
    ] = 0
    batch_norm: Annotated[
        Literal["train", "freeze", "restore"],
        option(
            "Statistics of batch normalisation: adapted, kept, or (for weights with folded "
            "normalisation) put back with statistics measured on the training images"
        ),
    ] = "train"
