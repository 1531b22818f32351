//! The command line: every subcommand, its flags, and help that teaches.

use std::net::SocketAddr;
use std::path::PathBuf;

use ::ingest::import::Dates;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ingest::Shard;

/// Turns what pilot factories publish over MQTT into reduction figures that a regulator can defend.
///
/// Start with `pilotline demo`: everything on this machine, with a simulated fleet and known truth.
#[derive(Debug, Parser)]
#[command(name = "pilotline", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// How the log is written to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// `--log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The subcommands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything on this machine with a simulated fleet of 12 pilots, whose true reductions are known.
    ///
    /// The fleet publishes its history since 2015 as real QoS 1 messages through the real MQTT door, then goes on live. The
    /// data directory is a temporary one, removed on Ctrl-C, unless --data names another.
    Demo(DemoArgs),
    /// Everything on this machine for real gateways: MQTT door, store, aggregator, pages and API.
    ///
    /// An empty data directory and a directory with one registry file per pilot are enough:
    ///   pilotline run --data ./data --pilots ./pilots
    /// and a gateway publishes to the topic pilotline/v1/PILOT/GATEWAY.
    Run(PlaceArgs),
    /// The same for a plant that already runs a broker: takes messages from it and acknowledges each after its commit.
    ///
    ///   pilotline ingest --broker mqtt://broker.plant:1883
    /// Several processes divide the pilots, each with a data directory of its own:
    ///   pilotline ingest --broker mqtt://broker.plant:1883 --shard 1/2 --data ./data-1
    Ingest(PlaceArgs),
    /// Checks config, registry, programme and mapping files and runs the mappings' tests; with --data also every checksum of a store.
    ///
    /// Prints each mistake with file, line and what would be right; exit code 2 if there is one.
    Check(CheckArgs),
    /// Says of one message how it is decoded and normalized, or why it is refused.
    ///
    ///   pilotline explain --topic pilotline/v1/my-pilot/gw1 message.json
    ///   mosquitto_sub … | pilotline explain --topic pilotline/v1/my-pilot/gw1 -
    Explain(ExplainArgs),
    /// Lists the built-in profiles for other dialects, or prints one to copy a rule from.
    Mappings(MappingsArgs),
    /// Lists refused messages, suggests registry lines for unknown series, replays what is acceptable now.
    Rejected(RejectedArgs),
    /// Brings in a CSV or XLSX file: readings, order lists, meter books with a column per series.
    ///
    ///   pilotline import bills-2015.xlsx --pilot my-pilot --dry-run
    ///   pilotline import bills-2015.xlsx --pilot my-pilot --author "Wang Li" --source "electricity bills 2015"
    /// Rows that are refused are named with their reason and keep no other row from being taken. The same file again changes
    /// nothing. `deploy/import.md` shows what files look like.
    Import(Box<ImportArgs>),
    /// States what a reading was, or that it was none, with author and reason; whatever was or will be sent, this stands.
    ///
    ///   pilotline correct --pilot my-pilot --asset press-01 --name electricity --at 2025-03-01T08:00:00+08:00 \
    ///     --value 182736.4 --author Li --reason "meter book, page 12" --dry-run
    /// What was sent is kept and listed beside it. --value where nothing was sent adds a reading; --void takes a reading away as
    /// if it had never been sent; --withdraw lets what was sent stand again. The last correction of a reading stands.
    Correct(Box<CorrectArgs>),
    /// Rebuilds every rollup and figure from readings; --verify compares bit for bit and changes nothing.
    Recompute(RecomputeArgs),
    /// Publishes now what differs from what was published: a new version, with its reasons, of every figure that is beyond its grace.
    ///
    /// A server publishes by itself: a closed period 30 days after its end, and what changed later once a day.
    Publish(PublishArgs),
    /// Says how the projection into InfluxDB is: which server answers, what it guarantees, what waits, what it refused.
    Projection(ProjectionArgs),
    /// Sends everything to the projection's database again, such as after its bucket was wiped; --verify only counts.
    ///
    ///   pilotline rebuild influx --config pilotline.toml
    Rebuild(RebuildArgs),
    /// Publishes a simulated fleet with known totals to any broker, for load and fault tests.
    Simulate(SimulateArgs),
    /// Logins of gateways: each bound to one pilot and optionally to one gateway.
    #[command(subcommand)]
    Login(LoginCommand),
    /// Tokens of the HTTP side: API, pages, pilot metrics.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Makes a running server take up changed registry files; a bad file leaves the old one in force.
    Reload(DataArgs),
}

/// Where things are. Flags override the config file, the config file overrides the defaults.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Config file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory [default: ./pilotline-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Directory of registry files, one PILOT.toml per pilot [default: ./pilots].
    #[arg(long, value_name = "DIR")]
    pub(crate) pilots: Option<PathBuf>,
    /// Directory of mapping files for gateways of other dialects [default: mappings/ beside the pilots, if it is there].
    #[arg(long, value_name = "DIR")]
    pub(crate) mappings: Option<PathBuf>,
    /// Programme file [default: xinjiang-2025, built in].
    #[arg(long, value_name = "FILE")]
    pub(crate) programme: Option<PathBuf>,
    /// Address of the MQTT door [default: 127.0.0.1:1883].
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtt: Option<SocketAddr>,
    /// Address of the MQTT door with TLS; needs certificate and key in the config file.
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtts: Option<SocketAddr>,
    /// Address of pages, API and metrics [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// A broker to take messages from, mqtt://HOST:PORT or mqtts://HOST:PORT; may be repeated. Logins and certificates of our
    /// own: [[door.broker]] in the config file.
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Vec<String>,
    /// Who signed the certificates of the mqtts:// brokers (PEM).
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub(crate) broker_ca: Option<PathBuf>,
    /// Take only this part of the pilots, such as 1/2; the other processes take the others.
    #[arg(long, value_name = "I/N", value_parser = Shard::parse)]
    pub(crate) shard: Option<Shard>,
}

/// A data directory alone.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Data directory.
    #[arg(long, value_name = "DIR", default_value = "./pilotline-data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The number that the whole fleet is made from.
    #[arg(long, default_value_t = 2015)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MappingsArgs {
    /// Print this one.
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The topic it was published to.
    #[arg(long)]
    pub(crate) topic: String,
    /// As if this login of the data directory had sent it.
    #[arg(long, value_name = "NAME", conflicts_with = "pilot")]
    pub(crate) login: Option<String>,
    /// As if a login of this pilot had sent it.
    #[arg(long)]
    pub(crate) pilot: Option<String>,
    /// The MQTT client id, where a mapping takes the asset from it.
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The payload; `-` reads standard input. Exit code 1 if the message is rejected.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct RejectedArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Only what was refused at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Print JSON, with the bytes in base64.
    #[arg(long)]
    pub(crate) json: bool,
    /// Take what the registry accepts now, into the past hours where it belongs.
    #[arg(long)]
    pub(crate) replay: bool,
    /// Print registry lines for the series that nobody registered; every guess says what it was made from.
    #[arg(long, conflicts_with = "replay")]
    pub(crate) suggest: bool,
}

#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The CSV or XLSX file.
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(crate) file: Option<PathBuf>,
    /// Whose numbers they are.
    #[arg(long, required_unless_present = "list")]
    pub(crate) pilot: Option<String>,
    /// Who brings them in.
    #[arg(long, required_unless_present_any = ["list", "dry_run"])]
    pub(crate) author: Option<String>,
    /// Where they come from: bills, the meter book, the ERP.
    #[arg(long, required_unless_present_any = ["list", "dry_run"])]
    pub(crate) source: Option<String>,
    /// Where the evidence lies, such as a folder or the number of a document.
    #[arg(long, value_name = "TEXT")]
    pub(crate) evidence: Option<String>,
    /// A TOML file that says what the columns are.
    #[arg(long, value_name = "FILE")]
    pub(crate) layout: Option<PathBuf>,
    /// The sheet of a workbook.
    #[arg(long, value_name = "NAME")]
    pub(crate) sheet: Option<String>,
    /// Of every reading, where no column says it.
    #[arg(long)]
    pub(crate) asset: Option<String>,
    /// Of every reading, where no column says it.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Of every reading, where no column says it.
    #[arg(long)]
    pub(crate) unit: Option<String>,
    /// How times are written, such as '%d/%m/%Y %H:%M'; '%m/%Y' is a month.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) time_format: Option<String>,
    /// IANA name of the zone that times are in [default: the pilot's].
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// Where in its day a reading with a date alone is stamped [default: end].
    #[arg(long, value_enum)]
    pub(crate) dates: Option<DatesArg>,
    /// 1.234,5 is one thousand two hundred thirty-four and a half.
    #[arg(long)]
    pub(crate) decimal_comma: bool,
    /// Of a text file: utf-8, gbk, gb18030, big5, utf-16le [default: found].
    #[arg(long)]
    pub(crate) charset: Option<String>,
    /// Of a text file: one ASCII character [default: found].
    #[arg(long, value_name = "CHAR")]
    pub(crate) separator: Option<char>,
    /// Say what would happen and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Import nothing if any row would be refused; exit code 1 then.
    #[arg(long)]
    pub(crate) strict: bool,
    /// List what was imported, of one pilot or of all.
    #[arg(long, conflicts_with_all = ["file", "dry_run"])]
    pub(crate) list: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--dates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatesArg {
    End,
    Start,
}

impl From<DatesArg> for Dates {
    fn from(dates: DatesArg) -> Dates {
        match dates {
            DatesArg::End => Dates::End,
            DatesArg::Start => Dates::Start,
        }
    }
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct CorrectArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[arg(long, value_name = "ID")]
    pub(crate) pilot: Option<String>,
    /// As the registry names it; so is --name.
    #[arg(long)]
    pub(crate) asset: Option<String>,
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[arg(long)]
    pub(crate) product: Option<String>,
    /// Of a delta or duration that was sent with one.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The instant of the reading: RFC 3339 with offset, or epoch milliseconds.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// What the reading was, multiplier not applied.
    #[arg(long, allow_hyphen_values = true, conflicts_with_all = ["void", "withdraw"])]
    pub(crate) value: Option<String>,
    /// Of the value, if it is not the declared one.
    #[arg(long, requires = "value")]
    pub(crate) unit: Option<String>,
    /// good, uncertain or, without --value, bad [default: good].
    #[arg(long)]
    pub(crate) quality: Option<String>,
    /// There was no such reading.
    #[arg(long, conflicts_with = "withdraw")]
    pub(crate) void: bool,
    /// What was sent stands again.
    #[arg(long)]
    pub(crate) withdraw: bool,
    /// Who corrects.
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
    /// Why, for who reads the figure.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Many at once, all or none: a CSV table whose columns are named like these flags (void and withdraw hold `true`).
    #[arg(long, value_name = "CSV", conflicts_with_all = ["pilot", "asset", "name", "product", "id", "at", "value", "unit",
        "quality", "void", "withdraw", "author", "reason", "list"])]
    pub(crate) file: Option<PathBuf>,
    /// Print what would change and which rollups it touches; change nothing.
    #[arg(long, conflicts_with = "list")]
    pub(crate) dry_run: bool,
    /// List corrections, of --pilot or of all.
    #[arg(long, conflicts_with_all = ["asset", "name", "product", "id", "at", "value", "unit", "quality", "void", "withdraw",
        "author", "reason"])]
    pub(crate) list: bool,
    /// Only corrections made at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME", requires = "list")]
    pub(crate) since: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct RecomputeArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Compare with what is stored, bit for bit, and change nothing; exit code 1 on a difference.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectionArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The projections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProjectionName {
    Influx,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Which projection.
    #[arg(value_enum)]
    pub(crate) projection: ProjectionName,
    /// Count the points of every hour there and here, and change nothing; exit code 1 on a difference.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Only this scope: programme, region:R, sector:S, class:C, pilot:ID or workshop:PILOT/W.
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The broker or the door to publish to.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    pub(crate) to: String,
    /// Pilots, each with one gateway and a connection of its own.
    #[arg(long, default_value_t = 10)]
    pub(crate) pilots: u32,
    /// Messages per gateway.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) messages: u64,
    /// MQTT protocol: 3 is 3.1.1.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=5))]
    pub(crate) protocol: u8,
    /// Unacknowledged messages in flight per connection.
    #[arg(long, default_value_t = 50)]
    pub(crate) in_flight: u16,
    /// The number that every value is made from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the registry files of the simulated pilots into this directory and stop.
    #[arg(long, value_name = "DIR")]
    pub(crate) registry: Option<PathBuf>,
    /// Write every acknowledged message's number to this file, one line `gateway boot seq` each.
    #[arg(long, value_name = "FILE")]
    pub(crate) receipts: Option<PathBuf>,
    /// Login name; the secret is read from the file --secret-file.
    #[arg(long, requires = "secret_file")]
    pub(crate) login: Option<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoginCommand {
    /// Adds a login and prints its secret once: user name = NAME, password = the secret.
    Add {
        name: String,
        /// The pilot it speaks for, and no other.
        #[arg(long)]
        pilot: String,
        /// The one gateway it speaks for; without it any gateway of the pilot.
        #[arg(long)]
        gateway: Option<String>,
        /// Read a password chosen by a person from standard input instead of making a secret.
        #[arg(long, conflicts_with = "certificate")]
        password_stdin: bool,
        /// No secret: the client certificate's common name.
        #[arg(long, value_name = "COMMON NAME")]
        certificate: Option<String>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Lists logins, without secrets.
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Removes a login; its connections are closed when they next authenticate.
    Remove {
        name: String,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Adds a token and prints it once; only its SHA-256 is kept.
    Add {
        name: String,
        /// operator, programme, region:R, sector:S or pilot:ID.
        #[arg(long)]
        scope: String,
        /// Last day on which it works, such as 2027-12-31 (UTC).
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Lists tokens, without the tokens.
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Removes a token at once.
    Remove {
        name: String,
        #[command(flatten)]
        data: DataArgs,
    },
}
