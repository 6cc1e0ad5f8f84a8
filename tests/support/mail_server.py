"""A mail server that writes down what it was sent, each letter as a line of JSON, read by Python's own email package.

    mail_server.py serve [--starttls CERT KEY] [--smtps CERT KEY] [--login USER PASSWORD] [--port PORT] [--size BYTES]
    mail_server.py read FILE...

`serve` says on its first line which port it has, and ends when its standard input does.
"""

import argparse
import email
import email.policy
import json
import ssl
import sys


def read(content):
    letter = email.message_from_bytes(content, policy=email.policy.default)
    parts = []
    for part in letter.walk():
        if part.is_multipart():
            continue
        parts.append({
            "type": part.get_content_type(),
            "charset": part.get_content_charset(),
            "encoding": str(part.get("Content-Transfer-Encoding", "")),
            "disposition": part.get_content_disposition(),
            "file": part.get_filename(),
            "text": text_of(part),
        })
    defects = [repr(defect) for part in letter.walk() for defect in part.defects]
    defects += [f"{name}: {defect!r}" for name, value in letter.items() for defect in getattr(value, "defects", [])]
    return {
        "headers": [[name, without_boundary(str(value))] for name, value in letter.items()],
        "structure": structure(letter),
        "parts": parts,
        "defects": defects,
        "ascii": all(byte < 128 for byte in content),
        "longest": max(len(line) for line in content.split(b"\r\n")),
    }


def without_boundary(value):
    return value.split("; boundary=")[0]


def text_of(part):
    if part.get_content_maintype() == "text":
        return part.get_content().replace("\r\n", "\n").split("\n")
    return part.get_payload(decode=True).hex()


def structure(part):
    kind = part.get_content_type()
    return [kind, [structure(inner) for inner in part.iter_parts()]] if part.is_multipart() else kind


def context(cert, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def serve(options):
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, LoginPassword

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            login = session.auth_data
            print(json.dumps({
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "tls": session.ssl is not None or options.smtps is not None,
                "login": login.login.decode() if login else None,
                "letter": read(envelope.content),
            }), flush=True)
            return "250 2.0.0 kept"

    def authenticate(server, session, envelope, mechanism, data):
        user, password = options.login
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=right, auth_data=data) if right else AuthResult(success=False, handled=False)

    more = {}
    if options.starttls:
        more.update(tls_context=context(*options.starttls), require_starttls=True)
    if options.smtps:
        more.update(ssl_context=context(*options.smtps))
    if options.login:
        more.update(auth_required=True, authenticator=authenticate, auth_require_tls=not options.smtps)
    controller = Controller(Handler(), hostname="127.0.0.1", port=options.port, data_size_limit=options.size, **more)
    # Its own start would try to speak to the server before it is used, and cannot find a port that the system chose.
    server = controller.loop.run_until_complete(controller._create_server())
    print(server.sockets[0].getsockname()[1], flush=True)
    controller.loop.run_in_executor(None, lambda: (sys.stdin.read(), controller.loop.call_soon_threadsafe(controller.loop.stop)))
    controller.loop.run_forever()


arguments = argparse.ArgumentParser()
commands = arguments.add_subparsers(required=True, dest="command")
serving = commands.add_parser("serve")
serving.add_argument("--starttls", nargs=2)
serving.add_argument("--smtps", nargs=2)
serving.add_argument("--login", nargs=2)
serving.add_argument("--port", type=int, default=0)
serving.add_argument("--size", type=int, default=33554432)
commands.add_parser("read").add_argument("files", nargs="+")
options = arguments.parse_args()
if options.command == "serve":
    serve(options)
else:
    for file in options.files:
        with open(file, "rb") as letter:
            print(json.dumps(read(letter.read())))
