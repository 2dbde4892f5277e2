use super::*;
use crate::config::{ProducerConfig, Sasl, SecurityProtocol};

const MODULE: &str = "com.sun.security.auth.module.Krb5LoginModule required";

fn with(options: &str) -> ProducerConfig {
    ProducerConfig::new()
        .bootstrap_servers("localhost:9092")
        .security_protocol(SecurityProtocol::SaslPlaintext)
        .property("sasl.mechanism", "GSSAPI")
        .property("sasl.jaas.config", format!("{MODULE} {options};"))
}

fn kerberos(config: &ProducerConfig) -> Kerberos {
    config.settle().unwrap().kerberos().unwrap().unwrap()
}

fn problem(config: &ProducerConfig) -> String {
    let error = config.validate().unwrap_err();
    let [problem] = error.problems() else { panic!("{error}") };
    problem.to_string()
}

#[test]
fn lines_of_java_users_are_understood() {
    let keytab = TicketOrigin::Keytab {
        principal: "orders@EXAMPLE.COM".to_owned(),
        keytab: Some(PathBuf::from("/etc/orders.keytab")),
    };
    for options in [
        r#"useKeyTab=true storeKey=true keyTab="/etc/orders.keytab" principal="orders@EXAMPLE.COM" serviceName="kafka""#,
        r#"useKeyTab="TRUE" useTicketCache=true doNotPrompt=true debug=true refreshKrb5Config=true renewTGT=true
           keyTab="FILE:/etc/orders.keytab" principal="orders@EXAMPLE.COM" isInitiator=true serviceName='kafka'"#,
        r#"useKeyTab=true useTicketCache=false keyTab="/etc/orders.keytab" tryFirstPass=false clearPass=true
           principal="orders@EXAMPLE.COM" serviceName=kafka"#,
    ] {
        let read = kerberos(&with(options));

        assert_eq!((read.origin, &*read.service), (keytab.clone(), "kafka"), "{options}");
    }
    let of_machine = kerberos(&with("useKeyTab=true principal=\"a\" serviceName=kafka")).origin;
    assert_eq!(of_machine, TicketOrigin::Keytab { principal: "a".to_owned(), keytab: None });
    let cache = kerberos(&with("useTicketCache=true serviceName=kafka")).origin;
    assert_eq!(cache, TicketOrigin::Cache { cache: None, principal: None });
    let cache = kerberos(&with(
        "useTicketCache=true renewTGT=true ticketCache=\"/tmp/x\" principal=\"a\" serviceName=kafka",
    ));
    let (path, principal) = (Some("/tmp/x".to_owned()), Some("a".to_owned()));
    assert_eq!(cache.origin, TicketOrigin::Cache { cache: path, principal });
}

#[test]
fn what_is_wrong_with_a_line_is_told() {
    for (options, text) in [
        ("", "must say where tickets come from"),
        ("useKeyTab=false useTicketCache=false", "must say where tickets come from"),
        ("useKeyTab=true keyTab=\"/x\"", "has no option principal"),
        ("useTicketCache=true keyTab=\"/x\"", "keyTab needs useKeyTab=\"true\""),
        ("useKeyTab=true principal=a ticketCache=\"/x\"", "ticketCache needs useTicketCache=\"true\""),
        ("useKeyTab=true principal=a renewTGT=true", "renewTGT needs useTicketCache=\"true\""),
        ("useKeyTab=true principal=a isInitiator=false", "isInitiator must be true"),
        ("useKeyTab=true principal=a useFirstPass=true", "useFirstPass must be false"),
        ("useKeytab=\"file:///x\" credsType=both principal=a", "options of IBM's module"),
    ] {
        let config = with(&format!("{options} serviceName=kafka"));

        let problem = problem(&config);

        assert!(problem.starts_with("sasl.jaas.config = [hidden]: ") && problem.contains(text), "{problem}");
    }
}

#[test]
fn service_is_named_once_or_the_same_twice() {
    let config = with("useTicketCache=true");
    assert_eq!(problem(&config), "sasl.kerberos.service.name: required");
    assert_eq!(kerberos(&config.property(SERVICE, "kafka")).service, "kafka");

    let config = with("useTicketCache=true serviceName=kafka");
    assert_eq!(kerberos(&config.clone().property(SERVICE, "kafka")).service, "kafka");
    assert_eq!(
        problem(&config.property(SERVICE, "bus")),
        "sasl.kerberos.service.name = bus: must be serviceName in sasl.jaas.config, which is \"kafka\""
    );
    assert!(problem(&with("useTicketCache=true").property(SERVICE, "kafka/b1@R")).contains("first part"));
    let typed = |name| {
        let config = with("useTicketCache=true");
        config.sasl(Sasl::gssapi_ticket_cache().service_name(name))
    };
    assert_eq!(kerberos(&typed(" kafka ")).service, "kafka");
    assert!(problem(&typed(" ")).contains("serviceName must be the first part"));
}

#[test]
fn other_keys_have_the_defaults_of_java_and_bounds() {
    let config = with("useTicketCache=true serviceName=kafka");
    let Kerberos { kinit, window_factor, window_jitter, min_period, .. } = kerberos(&config);
    assert_eq!((window_factor, window_jitter, min_period), (0.8, 0.05, Duration::from_secs(60)));
    assert_eq!(kinit, PathBuf::from("/usr/bin/kinit"));

    let changed = kerberos(
        &config
            .clone()
            .property(KINIT, "/opt/kinit")
            .property(MIN_PERIOD, "-1")
            .property("sasl.kerberos.ticket.renew.window.factor", "7")
            .property("sasl.kerberos.ticket.renew.jitter", "0.5"),
    );
    assert_eq!(
        (changed.window_factor, changed.window_jitter, changed.min_period),
        (1.0, 0.5, Duration::ZERO)
    );
    assert_eq!(changed.kinit, PathBuf::from("/opt/kinit"));
    let librdkafka =
        config.property(KINIT, "kinit -R -t \"%{sasl.kerberos.keytab}\" -k %{sasl.kerberos.principal}");
    assert!(problem(&librdkafka).contains("must be the path of a program"));
}

#[test]
fn typed_setters_say_the_same_as_lines() {
    let typed = |sasl: Sasl| {
        ProducerConfig::new()
            .bootstrap_servers("localhost:9092")
            .security_protocol(SecurityProtocol::SaslPlaintext)
            .sasl(sasl.service_name("kafka"))
    };

    let keytab = typed(Sasl::gssapi_keytab("orders@EXAMPLE.COM", "/etc/orders.keytab"));
    let cache = typed(Sasl::gssapi_ticket_cache());

    let line =
        r#"useKeyTab=true keyTab="/etc/orders.keytab" principal="orders@EXAMPLE.COM" serviceName="kafka""#;
    assert_eq!(kerberos(&keytab), kerberos(&with(line)));
    assert_eq!(kerberos(&cache), kerberos(&with("useTicketCache=true serviceName=kafka")));
    let plain = |sasl: Sasl| typed(sasl.service_name("bus"));
    assert_eq!(plain(Sasl::plain("a", "b")), typed(Sasl::plain("a", "b")), "it is about GSSAPI only");
}
