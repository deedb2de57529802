"""Classification of errors of an S3 store: transient, or for the user to correct."""

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
    """HTTP status, code and message in the answer of the store; None if the store did not cause the error."""
    for each in (error, error.__cause__):
        if isinstance(each, ClientError):
            status = each.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code, message = (str(each.response["Error"].get(name) or "") for name in ("Code", "Message"))
            return int(status), code, f"{code}: {message}" if message and message != code else code
    return None


def transient(error: BaseException) -> str:
    """Reason of an error for which a retry can help; empty for other errors."""
    answer = _answer(error)
    if answer is not None:
        status, code, message = answer
        return f"{status} {message}" if code in TRANSIENT_CODES or status in TRANSIENT_STATUS else ""
    if isinstance(error, SSLError) and "certificate" in str(error).lower():
        return ""
    kinds = (
        HTTPClientError, LostConnection, IncompleteReadError, ResponseStreamingError, ResponseParserError,
        aiohttp.ClientError, ConnectionError, TimeoutError,
    )  # fmt: skip
    return _line(error) if isinstance(error, kinds) else ""


def translated(error: Exception, what: str, bucket: str, endpoint: str) -> Exception:
    """Translate an error of the store's client for the rest of the program and the user.

    Args:
        error: Error of the client.
        what: The request in words.
        bucket: Bucket of the request.
        endpoint: URL of the store.

    Returns:
        FileNotFoundError, FileExistsError or StorageError; ``error`` itself if it is not about S3.
    """
    answer, where = _answer(error), f"the S3 store at {endpoint}"
    if answer is None:
        if not isinstance(error, BotoCoreError):
            return error
        if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
            return StorageError(f"no credentials for s3://{bucket} ({_line(error)}): set {CREDENTIALS}")
        return StorageError(f"s3://{bucket} cannot be used ({_line(error)}): mend the path or the AWS_… settings")
    status, code, message = answer
    if status in (404, 412) and code != "NoSuchBucket":
        return FileNotFoundError(message) if status == 404 else FileExistsError(message)
    text = f"{where} answers {what} with {status} {message}: mend the path or the AWS_… settings"
    if code == "NoSuchBucket":
        text = f"{where} has no bucket {bucket}: make it, or mend the s3:// path or AWS_ENDPOINT_URL"
    elif code in CREDENTIAL_CODES:
        text = f"{where} refuses the credentials ({message}): mend {CREDENTIALS}"
    elif code in REGION_CODES:
        text = f"s3://{bucket} is of another region ({message}): set AWS_DEFAULT_REGION to it"
    elif status in (401, 403):
        text = (
            f"{where} refuses {what} ({message}): mend {CREDENTIALS}, or have them allowed to read, list and write "
            f"s3://{bucket}"
        )
    return StorageError(text)


def _line(error: BaseException) -> str:
    """Message of an error in one line, without the endpoint."""
    text = re.sub(r"( on| to the| from)? endpoint URL: \"[^\"]*\"\.?", "", str(error))  # it contains the request
    return " ".join(text.split()) or type(error).__name__
