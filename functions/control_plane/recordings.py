"""Copies the carrier's recordings to our bucket, because the carrier's links expire after ten
minutes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import IO, Any

import boto3

from phonebridge.call.recording import LINK_SECONDS, Recording, RecordingState, SavedRecording
from phonebridge.errors import UpstreamFailed
from phonebridge.jobs import JobQueue, RetryLater
from phonebridge.storage.call_store import DynamoCallStore

MAX_BYTES = 400 * 1024 * 1024
"""The longest call as a stereo WAV file takes 110 MB. A Lambda has room for 512 MB of files."""
LINK_TTL_SECONDS = 900

_CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}


@dataclass(frozen=True, slots=True)
class CopyRecording:
    call_id: str
    saved: SavedRecording
    announced_at_ms: int


class RecordingArchive:
    def __init__(
        self,
        store: DynamoCallStore,
        bucket: str,
        queue: JobQueue,
        carrier_url: str,
        now_ms: Callable[[], int],
    ) -> None:
        self.queue = queue
        self._store = store
        self._bucket = bucket
        self._carrier_url = carrier_url
        self._now_ms = now_ms

    def announce(self, call_id: str, saved: SavedRecording) -> None:
        """Record the announcement, and queue the copy if a bucket is configured."""
        if not self._bucket:
            return
        self._store.add_recording(call_id, _recording(call_id, saved))
        self.queue.add(CopyRecording(call_id, saved, self._now_ms()))

    def copy(self, job: CopyRecording) -> Recording:
        """Copy a recording at most once, even if the job is repeated. Raises `RetryLater` while
        another attempt may succeed."""
        known = self._store.add_recording(job.call_id, _recording(job.call_id, job.saved))
        if known.state is not RecordingState.COPYING:
            return known
        try:
            size = self._transfer(job.saved.url, known)
        except UpstreamFailed as error:
            is_over = self._now_ms() - job.announced_at_ms > LINK_SECONDS * 1000
            if error.retryable and not is_over:
                raise RetryLater(str(error)) from error
            return self._put(job, replace(known, state=RecordingState.LOST, problem=str(error)))
        return self._put(job, replace(known, state=RecordingState.STORED, size_bytes=size))

    def link(self, recording: Recording) -> str | None:
        """Return a link that is valid for 15 minutes for everybody who has it, or None while there
        is no copy."""
        if recording.state is not RecordingState.STORED:
            return None
        url: str = self._s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": recording.key},
            ExpiresIn=LINK_TTL_SECONDS,
        )
        return url

    @cached_property
    def _s3(self) -> Any:
        return boto3.client("s3")

    def _put(self, job: CopyRecording, recording: Recording) -> Recording:
        self._store.put_recording(job.call_id, recording)
        return recording

    def _transfer(self, url: str, recording: Recording) -> int:
        """Download to a file, then upload it, because it may not fit into memory."""
        # Here, for the webhook's cold start does without it.
        from control_plane.recording_download import download_to_file

        with download_to_file(url, self._carrier_url, MAX_BYTES) as file:
            size = file.tell()
            file.seek(0)
            self._upload(file, recording)
        return size

    def _upload(self, content: IO[bytes], recording: Recording) -> None:
        # Here, for the webhook's cold start does without it.
        from boto3.s3.transfer import TransferConfig

        kind = _CONTENT_TYPES.get(recording.format, "application/octet-stream")
        one_by_one = TransferConfig(use_threads=False)
        self._s3.upload_fileobj(
            content, self._bucket, recording.key, {"ContentType": kind}, Config=one_by_one
        )


def _recording(call_id: str, saved: SavedRecording) -> Recording:
    return Recording(
        recording_id=saved.recording_id,
        format=saved.format,
        channels=saved.channels,
        key=f"recordings/{call_id}/{saved.recording_id}.{saved.format}",
        duration_ms=saved.duration_ms,
    )
