"""A mail server takes a notice, and a mail program can read it.

    mail.py RINGBACK
"""

import email, email.policy, os, subprocess, sys, tempfile
from aiosmtpd.controller import Controller

CONFIG = """
[twilio]
account_sid = "AC00000000000000000000000000000001"
[[group]]
name    = "support"
numbers = ["+12125550100"]
[[notify]]
name = "mail"
kind = "email"
url  = "smtp://127.0.0.1:{port}"
from = "Ringback <ringback@example.com>"
to   = ["ops@example.com", "Maria <maria@example.com>"]
"""


class Handler:
    """Takes the first mail, is busy for the second, refuses the third."""

    def __init__(self):
        self.mails = []
        self.answers = ["250 taken", "451 try again", "550 no such mailbox"]

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(envelope)
        return self.answers[len(self.mails) - 1]


handler = Handler()
controller = Controller(handler, hostname="127.0.0.1", port=20000 + os.getpid() % 12000)
controller.start()
with tempfile.TemporaryDirectory() as folder:
    config = os.path.join(folder, "ringback.toml")
    with open(config, "w") as file:
        file.write(CONFIG.format(port=controller.port))
    run = lambda: subprocess.run(
        [sys.argv[1], "notify", "--test", "mail", "--config", config],
        env={**os.environ, "TWILIO_AUTH_TOKEN": "unused"}, capture_output=True, text=True)
    taken, busy, refused = run(), run(), run()
controller.stop()
assert taken.returncode == 0 and "delivered: 250" in taken.stdout, taken
assert busy.returncode == 1 and "another try may help" in busy.stdout, busy
assert refused.returncode == 1 and ": refused: " in refused.stdout, refused
envelope = handler.mails[0]
assert envelope.mail_from == "ringback@example.com", envelope.mail_from
assert envelope.rcpt_tos == ["ops@example.com", "maria@example.com"], envelope.rcpt_tos
mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
assert mail["Subject"] == "[Ringback] INFO Test of the notifier mail", mail["Subject"]
assert mail["Date"].datetime and mail["References"], mail.items()
assert "Nothing: if you can read this" in mail.get_content(), mail.get_content()
print("a mail server takes it; busy and refusing ones are told apart")
