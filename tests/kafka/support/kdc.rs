//! A server of Kerberos (MIT's) for one realm, with everything in a directory of its own.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;

use super::broker;
use super::ports;
use super::process::Process;
use super::wait;
use super::work_dir::WorkDir;

pub(crate) const REALM: &str = "KAFKA.TEST";
/// Who brokers are.
pub(crate) const BROKER: &str = "kafka/127.0.0.1";

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running KDC.
#[derive(Debug)]
pub(crate) struct Kdc {
    work_dir: WorkDir,
    _process: Process,
}

impl Kdc {
    /// Starts one that knows the brokers as [`BROKER`], whose key is in [`broker_keytab`](Self::broker_keytab).
    pub(crate) async fn start() -> Self {
        let work_dir = WorkDir::new().expect("a directory");
        let directory = work_dir.path().to_owned();
        let port = ports::free_ports(1)[0];
        std::fs::write(directory.join("krb5.conf"), client_configuration(port)).expect("krb5.conf");
        std::fs::write(directory.join("kdc.conf"), configuration(&directory, port)).expect("kdc.conf");
        let mut create = command(&directory, "kdb5_util");
        create.args(["create", "-s", "-P", "master", "-r", REALM]);
        output(create);
        let mut kdc = command(&directory, "krb5kdc");
        kdc.args(["-n", "-r", REALM, "-P"]).arg(directory.join("kdc.pid"));
        let log = directory.join("kdc.out");
        let process = broker::spawn_logged(&mut kdc, &log).expect("krb5kdc of the package krb5-kdc");
        let this = Self { work_dir, _process: process };
        wait::wait_for("the KDC", START_LIMIT, async || TcpStream::connect(ports::address(port)).await.ok())
            .await;
        this.administer(&format!("addprinc -randkey {BROKER}"));
        this.export(BROKER, &this.broker_keytab());
        this
    }

    pub(crate) fn directory(&self) -> &Path {
        self.work_dir.path()
    }

    /// What `KRB5_CONFIG` names.
    pub(crate) fn krb5_conf(&self) -> PathBuf {
        self.directory().join("krb5.conf")
    }

    pub(crate) fn broker_keytab(&self) -> PathBuf {
        self.directory().join("broker.keytab")
    }

    /// Does what a line for `kadmin` says.
    pub(crate) fn administer(&self, line: &str) {
        let mut kadmin = command(self.directory(), "kadmin.local");
        kadmin.args(["-r", REALM, "-q", line]);
        output(kadmin);
    }

    /// Makes a user, and returns the keytab.
    pub(crate) fn add_user(&self, name: &str, options: &str) -> PathBuf {
        let keytab = self.directory().join(format!("{name}.keytab"));
        self.administer(&format!("addprinc -randkey {options} {name}"));
        self.export(name, &keytab);
        keytab
    }

    /// Puts a ticket into a cache.
    pub(crate) fn kinit(&self, name: &str, options: &[&str], cache: &str) {
        let mut kinit = command(self.directory(), "kinit");
        kinit.env("KRB5CCNAME", cache).args(options);
        kinit.args(["-k", "-t"]).arg(self.directory().join(format!("{name}.keytab"))).arg(name);
        output(kinit);
    }

    /// Without a new key.
    fn export(&self, name: &str, keytab: &Path) {
        self.administer(&format!("ktadd -norandkey -k {} {name}", keytab.display()));
    }
}

/// What clients of a KDC at this port have for `krb5.conf`. Names of hosts are taken as they are.
pub(crate) fn client_configuration(port: u16) -> String {
    format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n \
         dns_canonicalize_hostname = false\n udp_preference_limit = 1\n\
         [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n\
         [domain_realm]\n 127.0.0.1 = {REALM}\n localhost = {REALM}\n"
    )
}

fn configuration(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    format!(
        "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
         [realms]\n {REALM} = {{\n  database_name = {directory}/principal\n  key_stash_file = {directory}/stash\n  \
         acl_file = {directory}/acl\n  max_life = 10h\n  max_renewable_life = 7d\n }}\n\
         [logging]\n kdc = FILE:{directory}/kdc.log\n"
    )
}

/// A program of the packages krb5-kdc, krb5-admin-server and krb5-user, some of which are not on the path of every user.
fn command(directory: &Path, program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command.arg(format!("PATH={path}:/usr/sbin:/sbin")).arg(program).stdin(Stdio::null());
    command
        .env("KRB5_CONFIG", directory.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", directory.join("kdc.conf"));
    command
}

fn output(mut command: Command) {
    let output = command.output().expect("programs of Kerberos");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("while executing"), "{command:?}: {said}");
}
