import ssl
from pathlib import Path

from benchmarks.media.certificate import self_signed


def test_a_client_that_trusts_the_certificate_reaches_the_host_it_names(tmp_path: Path) -> None:
    path = self_signed(tmp_path, "localhost")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(path)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=path).wrap_bio(
        to_client, to_server, server_hostname="localhost"
    )
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"
