//! Tables of every form of time that dialects send, and of every rule about zones.

use super::{Format, Scalar};
use jiff::tz::TimeZone;
use model::UnixMillis;

use Scalar::{Float, Int, Text, UInt};

#[track_caller]
fn parsed(format: &str, zone: Option<&str>, fold: Option<&str>, scalar: Scalar<'_>, nanos: Option<i64>) -> String {
    let format = Format::compile(format, zone, fold).unwrap();
    let pilot = TimeZone::get("Asia/Urumqi").unwrap();
    format.parse(scalar, nanos, &pilot).map_or_else(|| "-".to_owned(), |at: UnixMillis| at.to_string())
}

#[test]
fn every_unit_of_time_gives_its_instant() {
    check("unix_s", Int(1_730_886_000), "2024-11-06T09:40:00.000Z");
    check("unix_s", UInt(1_730_886_000), "2024-11-06T09:40:00.000Z");
    check("unix_s", Text("1730886000"), "2024-11-06T09:40:00.000Z");
    check("unix_s", Text(" 1730886000.25 "), "2024-11-06T09:40:00.250Z");
    check("unix_s_float", Float(1_678_699_517.90), "2023-03-13T09:25:17.900Z");
    check("unix_s_float", Text("1678699517.90"), "2023-03-13T09:25:17.900Z");
    check("unix_s_float", Int(1_678_699_517), "2023-03-13T09:25:17.000Z");
    check("unix_ms", Int(1_650_006_388_943), "2022-04-15T07:06:28.943Z");
    check("unix_ms", Text("1650006388943"), "2022-04-15T07:06:28.943Z");
    check("unix_ms", Float(1.650_006_388_943e12), "2022-04-15T07:06:28.943Z");
    check("unix_ms", Text("1.650006388943E12"), "2022-04-15T07:06:28.943Z");
    check("unix_ms", Text("1650006388943.9"), "2022-04-15T07:06:28.943Z");
    check("unix_us", Int(1_738_851_825_000_999), "2025-02-06T14:23:45.000Z");
    check("unix_us", Text("1738851825123999"), "2025-02-06T14:23:45.123Z");
    check("unix_ns", Int(1_738_851_825_999_999_999), "2025-02-06T14:23:45.999Z");
    check("unix_ns", Text("1738851825000000000"), "2025-02-06T14:23:45.000Z");
    check("rfc3339", Text("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05.000Z");
    check("rfc3339", Text("2026-01-02T03:04:05.6Z"), "2026-01-02T03:04:05.600Z");
    check("rfc3339", Text("2022-07-21T13:01:50.159Z"), "2022-07-21T13:01:50.159Z");
    check("rfc3339", Text("2022-07-21T13:01:50.1599999Z"), "2022-07-21T13:01:50.159Z");
    check("rfc3339", Text("2022-07-21T13:01:50.159999999Z"), "2022-07-21T13:01:50.159Z");
    check("rfc3339", Text("2022-07-21T13:01:50.15999999999Z"), "2022-07-21T13:01:50.159Z");
    check("rfc3339", Text("2026-01-02T03:04:05+08:00"), "2026-01-01T19:04:05.000Z");
    check("rfc3339", Text("2026-01-02T03:04:05+0800"), "2026-01-01T19:04:05.000Z");
    check("rfc3339", Text("2026-01-02 03:04:05.5-0030"), "2026-01-02T03:34:05.500Z");
    check("rfc3339", Text("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000Z");
    check("%Y%m%dT%H%M%S%z", Text("20151212T121212Z"), "2015-12-12T12:12:12.000Z");
    check("%Y-%m-%d %H:%M:%S%.f %z", Text("2026-01-02 03:04:05,1239 +08"), "2026-01-01T19:04:05.123Z");

    check("unix_ms", Text("2026-01-02T03:04:05Z"), "-");
    check("unix_ms", Text(""), "-");
    check("unix_ms", Text("."), "-");
    check("unix_ms", Text("99999999999999999999"), "-");
    check("unix_s", Int(i64::MAX), "-");
    check("unix_s", Float(f64::NAN), "-");
    check("unix_s", Float(f64::INFINITY), "-");
    check("unix_ms", Text("NaN"), "-");
    check("rfc3339", Text("2026-01-02T03:04:05"), "-");
    check("rfc3339", Text("+0800"), "-");
    check("rfc3339", Text("2026-01-02T03:04:05电流+0800"), "-");
    check("rfc3339", Int(1_730_886_000), "-");

    #[track_caller]
    fn check(format: &str, scalar: Scalar<'_>, at: &str) {
        assert_eq!(parsed(format, None, None, scalar, None), at, "{format} {scalar:?}");
    }
}

#[test]
fn unix_auto_goes_by_magnitude() {
    check(Int(1_702_286_893), "2023-12-11T09:28:13.000Z");
    check(Int(1_702_286_893_123), "2023-12-11T09:28:13.123Z");
    check(Int(1_702_286_893_123_456), "2023-12-11T09:28:13.123Z");
    check(Int(1_702_286_893_123_456_789), "2023-12-11T09:28:13.123Z");
    check(Float(1_702_286_893.5), "2023-12-11T09:28:13.500Z");
    check(Text("1702286893123"), "2023-12-11T09:28:13.123Z");
    check(Text("1702286893.123"), "2023-12-11T09:28:13.123Z");
    check(Int(946_684_800), "2000-01-01T00:00:00.000Z");
    check(Int(946_684_800_000), "2000-01-01T00:00:00.000Z");

    #[track_caller]
    fn check(scalar: Scalar<'_>, at: &str) {
        assert_eq!(parsed("unix_auto", None, None, scalar, None), at, "{scalar:?}");
    }
}

#[test]
fn a_time_in_two_fields_is_one_instant() {
    assert_eq!(parsed("unix_s", None, None, Int(1_575_691_200), Some(0)), "2019-12-07T04:00:00.000Z");
    assert_eq!(parsed("unix_s", None, None, Int(1_575_691_200), Some(999_999_999)), "2019-12-07T04:00:00.999Z");
}

#[test]
fn digits_finer_than_a_millisecond_are_cut_off() {
    for ms in 0..1_000 {
        let expected = format!("2023-03-13T09:25:17.{ms:03}Z");
        let finer = format!("1678699517.{ms:03}9");
        let float: f64 = format!("1678699517.{ms:03}").parse().unwrap();
        assert_eq!(parsed("unix_s_float", None, None, Float(float), None), expected, "{float}");
        assert_eq!(parsed("unix_s_float", None, None, Text(&finer), None), expected, "{finer}");
        assert_eq!(parsed("unix_s_float", None, None, Float(finer.parse().unwrap()), None), expected, "{finer}");
    }
}

#[test]
fn a_wall_clock_is_read_in_the_zone_that_was_named() {
    check("%Y%m%d%H%M%S", "Asia/Shanghai", Text("20200709130030"), "2020-07-09T05:00:30.000Z");
    check("%Y%m%d%H%M%S", "Asia/Shanghai", Int(20_200_709_130_030), "2020-07-09T05:00:30.000Z");
    check("%Y%m%d%H%M%S", "Asia/Shanghai", UInt(20_200_709_130_030), "2020-07-09T05:00:30.000Z");
    check("%Y%m%d%H%M%S", "Asia/Urumqi", Text("20200709130030"), "2020-07-09T07:00:30.000Z");
    check("%Y%m%d%H%M%S", "pilot", Text("20200709130030"), "2020-07-09T07:00:30.000Z");
    check("%Y-%m-%dT%H:%M:%S", "Asia/Shanghai", Text("2022-01-11T21:57:38"), "2022-01-11T13:57:38.000Z");
    check("%FT%T", "Asia/Shanghai", Text("2022-01-11T21:57:38"), "2022-01-11T13:57:38.000Z");
    check("%Y%m%dT%H%M%SZ", "UTC", Text("20190606T121212Z"), "2019-06-06T12:12:12.000Z");
    check("%Y/%m/%d %H:%M:%S", "Asia/Shanghai", Text("2026/1/2 11:04:05"), "2026-01-02T03:04:05.000Z");
    check("%Y/%m/%d %H:%M:%S", "Asia/Shanghai", Text("2026/11/12  1:04:05"), "2026-11-11T17:04:05.000Z");
    check("%Y/%m/%d %p%I:%M:%S", "Asia/Shanghai", Text("2026/1/2 下午1:04:05"), "2026-01-02T05:04:05.000Z");
    check("%m/%d/%Y, %I:%M:%S %p", "Asia/Shanghai", Text("1/2/2026, 12:04:05 AM"), "2026-01-01T16:04:05.000Z");
    check("%d %b %y %H:%M", "Asia/Shanghai", Text("2 Jan 26 11:04"), "2026-01-02T03:04:00.000Z");
    check("%Y年%m月%d日 %H时%M分", "Asia/Shanghai", Text("2026年1月2日 11时04分"), "2026-01-02T03:04:00.000Z");
    check("%Y-%m-%d", "Asia/Shanghai", Text("2026-01-02"), "2026-01-01T16:00:00.000Z");
    check("%Y-%m-%d %H:%M:%S.%f", "UTC", Text("2026-01-02 03:04:05.1234567891"), "2026-01-02T03:04:05.123Z");
    // The next second, over the end of the year, and whatever the fraction.
    check("%Y-%m-%d %H:%M:%S%.f", "UTC", Text("2016-12-31 23:59:60.7"), "2017-01-01T00:00:00.000Z");
    // The location says nothing about the clock: +06:00 always, +08:00 but for the summers of 1986 to 1991.
    check("%Y-%m-%d %H:%M:%S", "Asia/Urumqi", Text("1988-07-01 12:00:00"), "1988-07-01T06:00:00.000Z");
    check("%Y-%m-%d %H:%M:%S", "Asia/Shanghai", Text("1988-07-01 12:00:00"), "1988-07-01T03:00:00.000Z");
    check("%Y-%m-%d %H:%M:%S", "Asia/Shanghai", Text("1988-12-01 12:00:00"), "1988-12-01T04:00:00.000Z");
    check("%Y-%m-%d %H:%M:%S", "Asia/Shanghai", Text("2026-07-01 12:00:00"), "2026-07-01T04:00:00.000Z");

    check("%Y-%m-%d", "UTC", Text("2026-02-29"), "-");
    check("%Y-%m-%d", "UTC", Text("2026-02-2x"), "-");
    check("%Y-%m-%d", "UTC", Text("2026-02-28 "), "2026-02-28T00:00:00.000Z");
    check("%Y-%m-%d %H", "UTC", Text("2026-02-28 24"), "-");
    check("%Y-%m-%d %H:%M:%S", "UTC", Text("2026-02-28 01:02:61"), "-");
    check("%Y%m%d%H%M%S", "UTC", Text("2026022801020"), "2026-02-28T01:02:00.000Z");
    check("%Y%m%d%H%M%S", "UTC", Int(-20_260_228_010_203), "-");
    check("%Y%m%d%H%M%S", "UTC", Float(20_260_228_010_203.0), "-");
    check("%Y年%m月", "UTC", Text(""), "?");

    #[track_caller]
    fn check(format: &str, zone: &str, scalar: Scalar<'_>, at: &str) {
        if at == "?" {
            assert!(Format::compile(format, Some(zone), None).is_err());
            return;
        }
        assert_eq!(parsed(format, Some(zone), None, scalar, None), at, "{format} {zone} {scalar:?}");
    }
}

#[test]
fn an_hour_that_comes_twice_or_never_follows_the_fold() {
    // In 1988 the clocks of Shanghai went from 00:00 to 01:00 on 17 April's 02:00, and back on 11 September's 02:00.
    check("1988-09-11 01:30:00", None, "1988-09-10T16:30:00.000Z");
    check("1988-09-11 01:30:00", Some("earlier"), "1988-09-10T16:30:00.000Z");
    check("1988-09-11 01:30:00", Some("later"), "1988-09-10T17:30:00.000Z");
    check("1988-09-11 01:30:00", Some("refuse"), "-");
    check("1988-04-17 02:30:00", None, "1988-04-16T18:30:00.000Z");
    check("1988-04-17 02:30:00", Some("later"), "1988-04-16T18:30:00.000Z");
    check("1988-04-17 02:30:00", Some("refuse"), "-");
    check("1988-09-11 03:30:00", Some("refuse"), "1988-09-10T19:30:00.000Z");

    #[track_caller]
    fn check(text: &str, fold: Option<&str>, at: &str) {
        let found = parsed("%Y-%m-%d %H:%M:%S", Some("Asia/Shanghai"), fold, Text(text), None);
        assert_eq!(found, at, "{text} {fold:?}");
    }
}

#[test]
fn seconds_in_a_field_named_ms_are_found_by_the_list() {
    // The caller takes the first that lies after 2000: as milliseconds this one is of January 1970.
    let list = ["unix_ms", "unix_s"].map(|format| parsed(format, None, None, Int(1_702_286_893), None));
    assert_eq!(list, ["1970-01-20T16:51:26.893Z", "2023-12-11T09:28:13.000Z"]);
}

#[test]
fn a_format_with_a_mistake_says_what_would_be_right() {
    let mistake = |format, zone, fold| Format::compile(format, zone, fold).unwrap_err();
    insta::assert_snapshot!(mistake("unix_msec", None, None), @"time format `unix_msec` is not known; use unix_s, unix_s_float, unix_ms, unix_us, unix_ns, unix_auto, rfc3339 or a pattern such as `%Y-%m-%d %H:%M:%S`");
    insta::assert_snapshot!(mistake("%Y-%m-%d %H:%M:%S", None, None), @r#"time format `%Y-%m-%d %H:%M:%S` reads no offset, so it needs a zone: `zone = "Asia/Shanghai"`, or `zone = "pilot"` for that of the registry"#);
    insta::assert_snapshot!(mistake("%F", Some("Asia/Beijing"), None), @"zone `Asia/Beijing` is not known; use an IANA name such as `Asia/Shanghai`, or `pilot`");
    insta::assert_snapshot!(mistake("%F %T%z", Some("UTC"), None), @"time format `%F %T%z` reads an offset, so zone `UTC` has no effect; leave one of them out");
    insta::assert_snapshot!(mistake("unix_ms", Some("UTC"), None), @"zone `UTC` has no effect on `unix_ms`, which is an instant; leave it out");
    insta::assert_snapshot!(mistake("%F", Some("UTC"), Some("first")), @"fold `first` is not known; use earlier, later or refuse");
    insta::assert_snapshot!(mistake("%F %Q", Some("UTC"), None), @"time format `%F %Q`: `%Q` is not known; use %Y %y %m %b %d %e %H %k %I %p %M %S %f %.f %z %F %T %%");
    insta::assert_snapshot!(mistake("%H:%M", Some("UTC"), None), @"time format `%H:%M` names no full date; it needs a year, a month and a day");
    insta::assert_snapshot!(mistake("%F %I", Some("UTC"), None), @"time format `%F %I` has only one of %I and %p; use both, or %H");
}
