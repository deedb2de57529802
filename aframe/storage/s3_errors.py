"""What an S3 store's refusals mean: worth another try, or for the user to mend."""

import re

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
    SSLError,
)
from botocore.exceptions import ConnectionError as LostConnection
from botocore.parsers import ResponseParserError

from aframe.errors import StorageError

TRANSIENT_CODES = {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted"}
TRANSIENT_STATUS = {429, 500, 502, 503, 504}
CREDENTIAL_CODES = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
}  # fmt: skip
REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}

CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


def _answer(error: BaseException) -> tuple[int, str, str] | None:
    """Status, code and message of the store's own answer behind an error."""
    for each in (error, error.__cause__):
        if isinstance(each, ClientError):
            status = each.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code, message = (str(each.response["Error"].get(name) or "") for name in ("Code", "Message"))
            return int(status), code, f"{code}: {message}" if message and message != code else code
    return None


def transient(error: BaseException) -> str:
    """Why an operation is worth trying again; empty where it is not."""
    answer = _answer(error)
    if answer is not None:
        status, code, told = answer
        return f"{status} {told}" if code in TRANSIENT_CODES or status in TRANSIENT_STATUS else ""
    if isinstance(error, SSLError) and "certificate" in str(error).lower():
        return ""
    kinds = (
        HTTPClientError, LostConnection, IncompleteReadError, ResponseStreamingError, ResponseParserError,
        aiohttp.ClientError, ConnectionError, TimeoutError,
    )  # fmt: skip
    return _line(error) if isinstance(error, kinds) else ""


def told_plainly(error: Exception, what: str, bucket: str, endpoint: str) -> Exception:
    """The error as the rest of the program, or the user, understands it.

    Args:
        error: What the store's client raised.
        what: Was asked for.
        bucket: Of that.
        endpoint: Where the store is.
    """
    answer, where = _answer(error), f"the S3 store at {endpoint}"
    if answer is None:
        if not isinstance(error, BotoCoreError):
            return error
        if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
            return StorageError(f"no credentials for s3://{bucket} ({_line(error)}): set {CREDENTIALS}")
        return StorageError(f"s3://{bucket} cannot be used ({_line(error)}): mend the path or the AWS_… settings")
    status, code, told = answer
    if status in (404, 412) and code != "NoSuchBucket":
        return FileNotFoundError(told) if status == 404 else FileExistsError(told)
    text = f"{where} answers {what} with {status} {told}: mend the path or the AWS_… settings"
    if code == "NoSuchBucket":
        text = f"{where} has no bucket {bucket}: make it, or mend the s3:// path or AWS_ENDPOINT_URL"
    elif code in CREDENTIAL_CODES:
        text = f"{where} refuses the credentials ({told}): mend {CREDENTIALS}"
    elif code in REGION_CODES:
        text = f"s3://{bucket} is of another region ({told}): set AWS_DEFAULT_REGION to it"
    elif status in (401, 403):
        text = (
            f"{where} refuses {what} ({told}): mend {CREDENTIALS}, or have them allowed to read, list and write "
            f"s3://{bucket}"
        )
    return StorageError(text)


def _line(error: BaseException) -> str:
    text = re.sub(r"( on| to the| from)? endpoint URL: \"[^\"]*\"\.?", "", str(error))  # it says what was asked for
    return " ".join(text.split()) or type(error).__name__
