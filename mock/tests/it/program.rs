//! The program, as a test in another language uses it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::groups::{SYNC, join_anew, sync_request};
use crate::support::{Client, batch};

struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Of the first broker.
    port: u16,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut servers = String::new();
        output.read_line(&mut servers).unwrap();
        let first = servers.trim_end().split(',').next().unwrap();
        let port = first.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
        Self { child, output, port }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Ends the program by the end of its input, and returns what it has said.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success());
        said
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-mock"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_program_shows_what_clients_have_done() {
    let mut program = Program::start(&["--topic", "orders:2", "--fault", "metadata error=5"]);
    let mut client = Client::connect_to(program.port).await;
    assert_eq!(client.produce("orders", 1, batch(&["2 apples"])).await.error_code, 0);
    let joined = join_anew(&mut client).await;
    client.call(SYNC, &sync_request(&joined.member_id, joined.generation_id, &[])).await;

    program.order("records orders 1");
    program.order("groups");
    program.order("faults");
    program.order("requests");
    program.order("make coffee");
    let said = program.end();

    assert!(said.contains("2 apples"), "{said}");
    assert!(said.contains("group: Stable, generation 1, 1 members\n  test-"), "{said}");
    assert!(said.contains("Metadata"), "{said}");
    assert!(said.contains("Produce: 1\n"), "{said}");
    assert!(said.contains("\"make coffee\": not an order\n"), "{said}");
}

#[tokio::test]
async fn the_program_listens_where_it_is_told_to() {
    // A port that was free a moment ago; if another process has taken it meanwhile, the next may be free.
    for _ in 0..20 {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut child = command(&["2", "--port", &port.to_string()]).spawn().unwrap();
        let mut servers = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut servers).unwrap();
        drop(child.stdin.take());
        let has_ended_well = child.wait().unwrap().success();
        assert_eq!(has_ended_well, !servers.is_empty());
        if has_ended_well {
            assert_eq!(servers, format!("127.0.0.1:{port},127.0.0.1:{}\n", u32::from(port) + 1));
            return;
        }
    }
    panic!("no two ports are free");
}

#[test]
fn the_program_says_what_is_wrong_with_its_arguments() {
    for (arguments, expected) in [
        (vec!["many"], "kafka-mock: \"many\" is no number of brokers; --help tells more\n"),
        (vec!["0"], "kafka-mock: a cluster of 0 brokers cannot be started\n"),
        (vec!["--port", "0"], "kafka-mock: --port takes a number from 1 to 65535, not \"0\"\n"),
        (vec!["--topic"], "kafka-mock: --topic needs a value\n"),
        (
            vec!["--topic", "orders"],
            "kafka-mock: \"orders\" is not NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS\n",
        ),
        (
            vec!["--topic", "orders:x"],
            "kafka-mock: \"orders:x\" is not NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS\n",
        ),
        (vec!["--release", "9.9"], "kafka-mock: kafka release \"9.9\" is not known\n"),
        (vec!["--fault", "none"], "kafka-mock: \"none\": neither a condition nor a reaction\n"),
    ] {
        let output = command(&arguments).output().unwrap();

        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
    let help = command(&["--help"]).output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"usage: kafka-mock"));
    let version = command(&["--version"]).output().unwrap();
    assert_eq!(version.stdout, format!("kafka-mock {}\n", env!("CARGO_PKG_VERSION")).into_bytes());
}
