"""Runs boot scripts on a machine that is a folder: machine.py BOOT_SCRIPTS_FOLDER PUBLISH

Commands that reach out of the machine (aws, systemctl, curl, dnf ..) are stand-ins that write down how they were called.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

STAND_IN = "#!/usr/bin/env bash\nroot=%s\n{ printf '%%s' \"${0##*/}\"; printf ' %%s' \"$@\"; echo; } >> \"$root/calls\"\n%s\n"
COMMANDS = {
    "systemctl": "",
    "dnf": "",
    # Copies what was asked for, if it is a copy; a parameter is there when its file is.
    "aws": """case "$1 $2" in
        's3 cp') case "${@: -1}" in s3://*) ;; *) cp "$root/program" "${@: -1}" ;; esac ;;
        'ssm get-parameter') cat "$root/parameters/${4##*/}" 2> /dev/null || { echo ParameterNotFound >&2; exit 254; } ;;
        'ssm put-parameter') for word in "$@"; do case "$word" in file://*) cp "${word#file://}" "$root/parameters/${4##*/}" ;; esac; done ;;
    esac""",
    "curl": """for word in "$@"; do url="$word"; done
    cat "$root/metadata/${url#http://169.254.169.254/latest/}" 2> /dev/null || exit 22""",
    "amazon-cloudwatch-agent-ctl": "",
}


class Machine:
    def __init__(self, program=b"the program"):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for folder in ("bin", "parameters", "metadata", "etc/systemd/system", "etc/logrotate.d", "etc/nginx/conf.d"):
            (self.root / folder).mkdir(parents=True)
        agent = self.root / "opt/aws/amazon-cloudwatch-agent"
        for folder in ("etc", "bin"):
            (agent / folder).mkdir(parents=True)
        for name, body in COMMANDS.items():
            folder = agent / "bin" if name.startswith("amazon") else self.root / "bin"
            (folder / name).write_text(STAND_IN % (self.root, body))
            (folder / name).chmod(0o755)
        (self.root / "program").write_bytes(program)
        self.tell("metadata", **{"api/token": "token", "meta-data/instance-id": "i-1"})

    def tell(self, when, **words):
        for path, word in words.items():
            file = self.root / when / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(word)

    def run(self, script):
        script = re.sub(r"(?<![\w.])/(opt|etc|var)/", rf"{self.root}/\1/", script)
        path = f"{self.root}/bin:{os.environ['PATH']}"
        ran = subprocess.run(["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=120)
        if ran.returncode != 0:
            print(ran.stdout + ran.stderr)
        return ran.returncode

    def calls(self, *commands):
        lines = (self.root / "calls").read_text().replace(f"{self.root}", "").splitlines()
        return [line for line in lines if line.split()[0] in commands]


def expect(name, found, wanted):
    if found != wanted:
        sys.exit(f"{name}\n found  {found}\n wanted {wanted}")


def with_digest_of(script, program):
    return re.sub(r'echo "[0-9a-f]{64} ', f'echo "{hashlib.sha256(program).hexdigest()} ', script)


def a_program_of_the_right_digest_is_installed_with_its_settings(script, program):
    machine = Machine()
    expect("status", machine.run(with_digest_of(script, b"the program")), 0)
    expect("program", (machine.root / f"opt/gridmill/{program}").read_bytes(), b"the program")
    settings = (machine.root / f"etc/gridmill/{program}.env").read_text()
    for line in ('GRIDMILL_BUCKET="gridmill-123456789012"', 'AWS_REGION="eu-central-1"'):
        expect(f"setting {line}", line in settings.splitlines(), True)
    started = [call for call in machine.calls("systemctl") if call.startswith("systemctl enable --now")]
    first = {"grid-worker": ["gridmill-metadata"], "job-manager": []}[program] + [program]
    expect("started", started[: len(first)], [f"systemctl enable --now {unit}.service" for unit in first])
    expect("turned off", machine.calls("systemctl").count("systemctl poweroff"), 0)
    return machine


def every_worker_has_a_secret_of_its_own(script):
    secrets = set()
    for _ in range(2):
        machine = a_program_of_the_right_digest_is_installed_with_its_settings(script, "grid-worker")
        file = machine.root / "etc/gridmill/metadata.env"
        expect("mode", oct(file.stat().st_mode & 0o777), "0o600")
        expect("secret", bool(re.fullmatch("AWS_CONTAINER_AUTHORIZATION_TOKEN=[0-9a-f]{64}\n", file.read_text())), True)
        secrets.add(file.read_text())
    expect("secrets", len(secrets), 2)


def a_log_that_cannot_be_shipped_ends_no_worker(script):
    machine = Machine()
    (machine.root / "bin/dnf").write_text("#!/bin/sh\nexit 1\n")
    expect("status", machine.run(with_digest_of(script, b"the program")), 0)
    expect("turned off", machine.calls("systemctl").count("systemctl poweroff"), 0)


def a_program_of_another_digest_turns_the_instance_off(script, program):
    machine = Machine(b"another program")
    machine.run(with_digest_of(script, b"the program"))
    expect("calls", machine.calls("systemctl"), ["systemctl poweroff"])
    expect("program", (machine.root / f"opt/gridmill/{program}").exists(), False)


def the_address_moves_last(script):
    machine = a_program_of_the_right_digest_is_installed_with_its_settings(script, "job-manager")
    moved = machine.calls("aws")[-1]
    expect("address", moved, "aws ec2 associate-address --allocation-id eipalloc-0123456789abcdef0 --instance-id i-1")


def the_first_manager_makes_a_certificate_and_the_next_one_takes_it(script):
    first, second = Machine(), Machine()
    expect("status", first.run(with_digest_of(script, b"the program")), 0)
    kept = {name: (first.root / f"parameters/{name}").read_text() for name in ("key", "certificate")}
    second.tell("parameters", **kept)
    expect("status", second.run(with_digest_of(script, b"the program")), 0)
    expect("puts", [call for call in second.calls("aws") if "put-parameter" in call], [])
    for machine in (first, second):
        for name in kept:
            expect(name, (machine.root / f"etc/gridmill/tls/{name}.pem").read_text().strip(), kept[name].strip())


def only_an_orphan_turns_its_instance_off(script):
    """systemd runs this after each end of the worker, and says how it ended."""
    text = re.search(r"^ExecStopPost=\+/bin/sh -c '(.*)'$", script, re.M).group(1)
    for status, wanted in (("0", []), ("1", []), ("TERM", []), ("6", ["systemctl poweroff"])):
        machine = Machine()
        (machine.root / "calls").touch()
        expect("status", machine.run(f"EXIT_STATUS={status}\n{text}"), 0)
        expect(f"calls after {status}", machine.calls("systemctl"), wanted)


def what_is_published_is_named_by_its_digest(publish):
    machine = Machine()
    for program in ("job-manager", "grid-worker"):
        (machine.root / program).write_bytes(program.encode())
    digests = {program: hashlib.sha256(program.encode()).hexdigest() for program in ("job-manager", "grid-worker")}
    path = f"{machine.root}/bin:{os.environ['PATH']}"
    printed = subprocess.run([publish, machine.root, "releases"], env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, text=True)
    expect("status", printed.returncode, 0)
    wanted = {"bucket": "releases"}
    for who, program in (("manager", "job-manager"), ("worker", "grid-worker")):
        wanted |= {f"{who}_key": f"gridmill/{digests[program]}/{program}", f"{who}_sha256": digests[program]}
    expect("printed", dict(re.findall(r'^  (\w+) += "(.*)"$', printed.stdout, re.M)), wanted)
    uploads = [f"aws s3 cp --only-show-errors /{program} s3://releases/gridmill/{digests[program]}/{program}" for program in digests]
    expect("uploads", machine.calls("aws"), uploads)


def main(folder, publish):
    boot = {path.stem: path.read_text() for path in pathlib.Path(folder).glob("*.sh")}
    for program, script in (("grid-worker", boot["minimal-spot"]), ("job-manager", boot["minimal-manager"])):
        a_program_of_the_right_digest_is_installed_with_its_settings(script, program)
        a_program_of_another_digest_turns_the_instance_off(script, program)
    every_worker_has_a_secret_of_its_own(boot["minimal-spot"])
    a_log_that_cannot_be_shipped_ends_no_worker(boot["minimal-spot"])
    the_address_moves_last(boot["minimal-manager"])
    the_first_manager_makes_a_certificate_and_the_next_one_takes_it(boot["complete-manager"])
    only_an_orphan_turns_its_instance_off(boot["minimal-spot"])
    what_is_published_is_named_by_its_digest(publish)


if __name__ == "__main__":
    main(*sys.argv[1:])
