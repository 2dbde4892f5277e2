//! Files and variables as Java's providers take them, and whatever may be wrong with them.

use std::fs;

use super::*;
use crate::config::Authentication;
use crate::config::ProducerConfig;

const CLASSES: &str = "org.apache.kafka.common.config.provider.";

/// A directory of its own for each test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("kafka-producer-providers-{test}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn config() -> ProducerConfig {
    ProducerConfig::new()
        .bootstrap_servers("localhost:9092")
        .property("config.providers", "file, dir,env")
        .property("config.providers.file.class", format!("{CLASSES}FileConfigProvider"))
        .property("config.providers.dir.class", format!("{CLASSES}DirectoryConfigProvider"))
        .property("config.providers.env.class", format!("{CLASSES}EnvVarConfigProvider"))
}

fn messages(config: &ProducerConfig) -> Vec<String> {
    match config.validate() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

fn client_id(config: &ProducerConfig) -> String {
    config.settle().unwrap().client_id
}

/// As the pattern of Kafka's `ConfigTransformer` splits them: `\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`.
#[test]
fn variables_are_found_where_java_finds_them() {
    let variable = |provider, path, key| Piece::Variable(Variable { provider, path, key });
    for (text, expected) in [
        ("", vec![]),
        ("plain", vec![Piece::Plain("plain")]),
        ("${file:/a/b:key}", vec![variable("file", "/a/b", "key")]),
        ("${env:HOME}", vec![variable("env", "", "HOME")]),
        ("${env::HOME}", vec![variable("env", "", "HOME")]),
        ("${a:b:c:d}", vec![variable("a", "b", "c:d")]),
        ("${:b}", vec![variable("", "", "b")]),
        (
            "x${a:b}y${c:d}",
            vec![Piece::Plain("x"), variable("a", "", "b"), Piece::Plain("y"), variable("c", "", "d")],
        ),
        ("${none} ${a:b}", vec![Piece::Plain("${none} "), variable("a", "", "b")]),
        ("${a:b", vec![Piece::Plain("${a:b")]),
        ("$a:b}", vec![Piece::Plain("$a:b}")]),
        ("ä${ä:ö}ü", vec![Piece::Plain("ä"), variable("ä", "", "ö"), Piece::Plain("ü")]),
    ] {
        assert_eq!(pieces(text), expected, "{text}");
    }
}

#[test]
fn values_come_from_files_directories_and_the_environment() {
    let directory = Directory::new("values");
    let file = directory.write("secrets.properties", "# comment\nid = from\\u0020file\nother=1\n");
    directory.write("id", "from directory\n");

    assert_eq!(client_id(&config().property("client.id", format!("${{file:{file}:id}}"))), "from file");
    let by_directory = config().property("client.id", format!("${{dir:{}:id}}", directory.path()));
    assert_eq!(client_id(&by_directory), "from directory");
    let home = std::env::var("PATH").unwrap();
    assert_eq!(client_id(&config().property("client.id", "${env:PATH}")), home);
    let mixed = config().property("client.id", format!("<${{file:{file}:id}}+${{file:{file}:other}}>"));
    assert_eq!(client_id(&mixed), "<from file+1>");
}

#[test]
fn order_of_properties_does_not_matter_and_the_last_value_counts() {
    let directory = Directory::new("order");
    let file = directory.write("p", "linger=20");
    let text = format!(
        "linger.ms=${{f:{file}:linger}}\nbootstrap.servers=a:1\nconfig.providers=f\n\
         config.providers.f.class={CLASSES}FileConfigProvider"
    );
    let config = ProducerConfig::from_properties_text(&text);

    assert_eq!(config.settle().unwrap().linger.as_millis(), 20);
    assert_eq!(config.clone().property("linger.ms", "7").settle().unwrap().linger.as_millis(), 7);
    let typed = config.clone().linger(std::time::Duration::from_millis(8));
    assert_eq!(typed.settle().unwrap().linger.as_millis(), 8);
    // Files are read when a producer is built, not when values are asked for.
    assert_eq!(config.get("linger.ms").unwrap(), format!("${{f:{file}:linger}}"));
}

#[test]
fn without_providers_everything_is_taken_to_the_letter() {
    let config =
        ProducerConfig::new().bootstrap_servers("localhost:9092").property("client.id", "${file:/a:b}");

    assert_eq!(client_id(&config), "${file:/a:b}");
    assert_eq!(config.get("client.id").as_deref(), Some("${file:/a:b}"));
}

#[cfg(feature = "sasl")]
#[test]
fn password_may_come_from_a_file_and_is_shown_nowhere() {
    let directory = Directory::new("password");
    let file = directory.write("secrets", "password=hunter2");
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"me\" \
         password=\"${{file:{file}:password}}\";"
    );
    let config = config()
        .property("security.protocol", "SASL_PLAINTEXT")
        .property("sasl.mechanism", "PLAIN")
        .property("sasl.jaas.config", jaas);

    let settings = config.settle().unwrap();

    let Ok(Some(Authentication::Password(_, credentials))) = settings.authentication() else { panic!() };
    assert_eq!(credentials.password.expose(), "hunter2");
    assert_eq!(config.get("sasl.jaas.config").as_deref(), Some("[hidden]"));
    assert!(!format!("{config:?} {settings:?}").contains("hunter2"));
}

#[test]
fn what_cannot_be_used_is_named_without_the_value() {
    let directory = Directory::new("unusable");
    let file = directory.write("secrets", "password=hunter2\nservers=hunter2");
    let config = config()
        .property("batch.size", format!("${{file:{file}:password}}"))
        .property("bootstrap.servers", format!("${{file:{file}:servers}}"));

    let expected = [
        format!("batch.size = ${{file:{file}:password}}: what it stands for must be at least 0"),
        format!("bootstrap.servers = ${{file:{file}:servers}}: what it stands for is no value of this key"),
    ];
    assert_eq!(messages(&config), expected);
    assert!(!format!("{:?}", config.validate()).contains("hunter2"));
}

#[test]
fn what_cannot_be_read_is_explained() {
    let directory = Directory::new("unreadable");
    let file = directory.write("p", "a=1");
    let path = directory.path();
    let long = directory.write("long", &"x".repeat(MAX_FILE_LEN + 1));
    fs::write(directory.0.join("binary"), [0xff]).unwrap();
    for (value, reason) in [
        (format!("${{file:{file}:b}}"), format!("{file} has no key \"b\"")),
        (format!("${{file:{path}/none:b}}"), format!("{path}/none cannot be read: No such file")),
        (format!("${{file:{path}:b}}"), format!("{path} cannot be read: it is not a file")),
        (format!("${{file:{long}:b}}"), format!("{long} cannot be read: it is longer than 1048576 bytes")),
        (format!("${{dir:{path}:binary}}"), format!("{path}/binary cannot be read: it is not UTF-8")),
        (format!("${{dir:{path}:../p}}"), format!("\"../p\" is not the name of a file in {path}")),
        (format!("${{dir:{path}:..}}"), format!("\"..\" is not the name of a file in {path}")),
        (
            format!("${{dir:{path}:/etc/passwd}}"),
            format!("\"/etc/passwd\" is not the name of a file in {path}"),
        ),
        (
            "${env:KAFKA_PRODUCER_NO_SUCH}".to_owned(),
            "the environment variable KAFKA_PRODUCER_NO_SUCH is not set".to_owned(),
        ),
        ("${env:/a:b}".to_owned(), "the environment has no paths, but \"/a\" is one".to_owned()),
        ("${vault:a:b}".to_owned(), "config.providers has no \"vault\"".to_owned()),
    ] {
        let found = messages(&config().property("client.id", &value));

        assert_eq!(found.len(), 1, "{value}");
        assert!(found[0].starts_with(&format!("client.id = {value}: {reason}")), "{found:?}");
    }
}

#[test]
fn providers_may_be_kept_to_some_paths_and_names() {
    let directory = Directory::new("allowed");
    let file = directory.write("p", "a=1");
    let path = directory.path();
    let other = format!("{path}-other/p");
    let config = config()
        .property("config.providers.file.param.allowed.paths", format!("/nowhere,{path}"))
        .property("config.providers.env.param.allowlist.pattern", "KAFKA_.*|PATH");

    assert_eq!(client_id(&config.clone().property("client.id", format!("${{file:{file}:a}}"))), "1");
    assert!(!client_id(&config.clone().property("client.id", "${env:PATH}")).is_empty());
    for (value, reason) in [
        (format!("${{file:{other}:a}}"), format!("{other} is not in allowed.paths")),
        (format!("${{file:{path}/../p:a}}"), format!("{path}/../p is not in allowed.paths")),
        (
            "${env:HOME}".to_owned(),
            "the environment variable HOME does not match allowlist.pattern".to_owned(),
        ),
    ] {
        let expected = [format!("client.id = {value}: {reason}")];
        assert_eq!(messages(&config.clone().property("client.id", &value)), expected);
    }
}

#[test]
fn pattern_matches_as_a_whole() {
    for (pattern, name, expected) in [
        ("A", "A", true),
        ("A", "AB", false),
        (".*", "", true),
        ("A.*", "A", true),
        ("A.*", "BA", false),
        (".*A", "BA", true),
        ("A.*B.*C", "A1B2C", true),
        ("A.*B.*C", "A1C", false),
        ("A.*A", "A", false),
        ("X|Y.*", "Y1", true),
    ] {
        assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
    }
    for pattern in ["[A-Z]+", "A?", "^A$", "(A)"] {
        assert!(NamePattern::parse(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn providers_that_cannot_be_had_are_named() {
    let config = ProducerConfig::new()
        .bootstrap_servers("localhost:9092")
        .property("config.providers", "vault,none,file,env")
        .property("config.providers.vault.class", "com.example.Vault")
        .property("config.providers.file.class", format!("{CLASSES}FileConfigProvider"))
        .property("config.providers.file.param.allowed.paths", "etc")
        .property("config.providers.env.class", format!("{CLASSES}EnvVarConfigProvider"))
        .property("config.providers.env.param.allowlist.pattern", "[A-Z]+");

    let expected = [
        format!("config.providers.vault.class = com.example.Vault: {NO_OTHER_PROVIDER}"),
        "config.providers.none.class: required".to_owned(),
        "config.providers.file.param.allowed.paths = etc: must be absolute paths, separated by commas".to_owned(),
        "config.providers.env.param.allowlist.pattern = [A-Z]+: must consist of names joined by |, in which .* stands for \
         anything: other patterns are not available"
            .to_owned(),
    ];
    assert_eq!(messages(&config), expected);
}
