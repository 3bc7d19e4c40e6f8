#include "plan/hardware.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>

namespace fathom::plan {
namespace {

constexpr std::string_view kOwn = R"({"hardware": [{"name": "our-box", "memory_gib": 96,
  "read_gb_per_s": 460.8, "float_tflops": 7.4, "kind": "cpu", "devices": 2,
  "device_link": {"gb_per_s": 30, "latency_us": 2}, "busy_watts": 500, "usd_per_hour": 1.5}]})";

std::string error_of(std::string_view fields) {
  const auto parsed = parse_hardware(
      fmt::format(R"({{"hardware": [{{"name": "x", "memory_gib": 8, "read_gb_per_s": 100,
        "float_tflops": 1{}}}]}})",
                  fields),
      "own.json");
  return parsed ? "no error" : parsed.error().message;
}

TEST(HardwareCatalogue, HoldsPlausibleFiguresWithTheirSources) {
  std::set<std::string> names;
  const std::regex year("20[12][0-9]");
  for (const Hardware& hardware : hardware_catalogue()) {
    SCOPED_TRACE(hardware.name);
    EXPECT_TRUE(names.insert(hardware.name).second);
    EXPECT_GE(hardware.memory_bytes, int64_t{4} << 30);
    EXPECT_GE(hardware.ceilings.read_bytes_per_second, 1e10);
    EXPECT_GE(hardware.ceilings.int8_ops_per_second, hardware.ceilings.float_ops_per_second);
    // Arithmetic for each byte read: no hardware does less than 5 or more than 1,500 operations.
    const double ridge =
        hardware.ceilings.int8_ops_per_second / hardware.ceilings.read_bytes_per_second;
    EXPECT_GE(ridge, 5);
    EXPECT_LE(ridge, 1500);
    EXPECT_GT(hardware.busy_watts, hardware.idle_watts);
    EXPECT_TRUE(std::regex_search(hardware.source, year)) << hardware.source;
    EXPECT_FALSE(hardware.measured);
    EXPECT_EQ(hardware.devices > 1, hardware.device_link.bytes_per_second > 0);
  }
  for (const char* name : {"a100-40gb", "a100-80gb", "a800-80gb", "h100-80gb", "h200-141gb",
                           "l40s-48gb", "rtx4090-24gb", "rtx5090-32gb", "orin-nano-8gb",
                           "orin-nx-16gb", "agx-orin-64gb", "xavier-nx-8gb", "rpi5-4gb", "rpi5-8gb",
                           "rpi5-16gb", "epyc-9654", "xeon-8480", "m4-max-128gb"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(HardwareCatalogue, CountsDenseArithmetic) {
  const auto h100 = find_hardware("h100-80gb");
  ASSERT_TRUE(h100);
  EXPECT_EQ(h100->ceilings.float_ops_per_second, 989e12);  // 1,979 TFLOPS are with sparsity
  const auto orin = find_hardware("agx-orin-64gb");
  ASSERT_TRUE(orin);
  EXPECT_EQ(orin->ceilings.int8_ops_per_second, 85e12);  // of 275, with DLAs and sparsity
}

TEST(HardwareCatalogue, FindsNamesHoweverTheyAreSpelt) {
  for (const char* name : {"a100-80gb", "A100 80GB", "a100_80gb"}) {
    const auto found = find_hardware(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->name, "a100-80gb");
  }
}

TEST(HardwareCatalogue, SaysThatTheA800Of120GBDoesNotExist) {
  for (const char* name : {"a800-120gb", "A800 120 GB", "NVIDIA A800 120GB"}) {
    const auto found = find_hardware(name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().kind, ErrorKind::kUsage);
    EXPECT_NE(found.error().message.find("There is no A800 with 120 GB"), std::string::npos);
    EXPECT_NE(found.error().message.find("a800-80gb"), std::string::npos);
  }
}

TEST(HardwareCatalogue, NamesTheNearestOfWhatItDoesNotKnow) {
  const auto typo = find_hardware("h100-80bg");
  ASSERT_FALSE(typo);
  EXPECT_EQ(typo.error().kind, ErrorKind::kUsage);
  EXPECT_NE(typo.error().message.find("h100-80gb"), std::string::npos);
  const auto start = find_hardware("rpi5");
  ASSERT_FALSE(start);
  EXPECT_NE(start.error().message.find("rpi5-4gb, rpi5-8gb, rpi5-16gb"), std::string::npos)
      << start.error().message;
}

TEST(OwnHardware, IsReadAndComesBeforeTheCatalogue) {
  const auto own = parse_hardware(kOwn, "own.json");
  ASSERT_TRUE(own) << own.error().message;
  const auto found = find_hardware("our-box", *own);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->memory_bytes, int64_t{96} << 30);
  EXPECT_DOUBLE_EQ(found->ceilings.read_bytes_per_second, 460.8e9);
  EXPECT_DOUBLE_EQ(found->ceilings.int8_ops_per_second, 7.4e12);  // as float where nothing is said
  EXPECT_DOUBLE_EQ(found->device_link.bytes_per_second, 30e9);
  EXPECT_DOUBLE_EQ(found->device_link.latency_seconds, 2e-6);
  EXPECT_EQ(found->devices, 2);
  EXPECT_TRUE(found->fathom_runs_here);
  EXPECT_EQ(found->source, "own.json");
  const auto other = parse_hardware(R"({"hardware": [{"name": "h100-80gb", "memory_gib": 1,
      "read_gb_per_s": 1, "float_tflops": 1}]})",
                                    "own.json");
  ASSERT_TRUE(other);
  EXPECT_EQ(find_hardware("h100-80gb", *other)->memory_bytes, int64_t{1} << 30);
}

TEST(OwnHardware, RefusesWhatMakesNoSenseAndNamesTheField) {
  EXPECT_EQ(error_of(R"(, "devices": 2)"), "no error");
  EXPECT_NE(
      error_of(R"(, "bandwidth": 2)").find("own.json, line 2: x: there is no field \"bandwidth\""),
      std::string::npos);
  EXPECT_NE(error_of(R"(, "usd_per_hour": -1)").find("\"usd_per_hour\" is -1"), std::string::npos);
  EXPECT_NE(error_of(R"(, "int8_tops": 1e300)").find("\"int8_tops\""), std::string::npos);
  EXPECT_NE(error_of(R"(, "devices": 1.5)").find("whole number"), std::string::npos);
  EXPECT_NE(error_of(R"(, "kind": "tpu")").find("gpu, cpu, edge or mac"), std::string::npos);
  EXPECT_NE(error_of(R"(, "idle_watts": 5)").find("busy_watts"), std::string::npos);
  EXPECT_NE(error_of(R"(, "host_link": {"latency_us": 5})").find("gb_per_s"), std::string::npos);
  EXPECT_NE(error_of(R"(, "title": 5)").find("title"), std::string::npos);
}

TEST(OwnHardware, RefusesFilesOfAnotherShape) {
  for (
      const char* text :
      {"", "[]", "{}", R"({"hardware": {}})", R"({"hardware": []})", R"({"hardware": [1]})",
       R"({"hardware": [{}]})", R"({"hardware": [{"name": "x"}]})",
       R"({"hardware": [{"name": "x", "memory_gib": 0, "read_gb_per_s": 1, "float_tflops": 1}]})",
       R"({"hardware": [{"name": "this", "memory_gib": 1, "read_gb_per_s": 1, "float_tflops": 1}]})",
       R"({"hardware": [{"name": "Our Box", "memory_gib": 1, "read_gb_per_s": 1, "float_tflops": 1}]})",
       R"({"hardware": [], "more": 1})"}) {
    const auto parsed = parse_hardware(text, "own.json");
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("own.json"), std::string::npos) << parsed.error().message;
  }
}

constexpr std::string_view kYaml = R"(# What we have
hardware:
  - name: our-box
    title: "EPYC 9354"   # bought in February
    kind: cpu
    memory_gib: 384
    read_gb_per_s: 460.8
    int8_tops: 13.3
    float_tflops: 3.3e0
    devices: 2
    device_link: {gb_per_s: 50, latency_us: 1}
    on_premises: true
    source: our invoice, 2026-02
)";

TEST(OwnHardware, IsReadFromYaml) {
  for (const char* file : {"own.yaml", "own.yml", "own"}) {
    const auto own = parse_hardware(kYaml, file);
    ASSERT_TRUE(own) << own.error().message;
    ASSERT_EQ(own->size(), 1U);
    const Hardware& box = own->front();
    EXPECT_EQ(box.title, "EPYC 9354");
    EXPECT_EQ(box.memory_bytes, int64_t{384} << 30);
    EXPECT_DOUBLE_EQ(box.ceilings.float_ops_per_second, 3.3e12);
    EXPECT_DOUBLE_EQ(box.device_link.bytes_per_second, 50e9);
    EXPECT_EQ(box.devices, 2);
    EXPECT_EQ(box.source, "our invoice, 2026-02");
  }
}

TEST(OwnHardware, NamesTheLineOfWhatIsWrong) {
  struct Wrong {
    std::string from;
    std::string to;
    std::string says;
  };
  const std::vector<Wrong> wrongs{
      {"devices: 2", "device: 2", "own.yaml, line 10: our-box: there is no field \"device\""},
      {"devices: 2", "devices: no", "own.yaml, line 10: our-box: \"devices\" must be a number"},
      {"devices: 2", "devices: -2", "own.yaml, line 10: our-box: \"devices\" is -2"},
      {"gb_per_s: 50", "gb_per_s: fast", "own.yaml, line 11: our-box, device_link: \"gb_per_s\""},
      {"    memory_gib: 384\n", "", "own.yaml, line 3: our-box: \"memory_gib\" is missing"},
      {"kind: cpu", "kind: [cpu", "own.yaml, line "},
      {"kind: cpu", "\tkind: cpu", "own.yaml, line 5: "},
      {"kind: cpu", "kind: *cpu", "own.yaml, line 5: aliases"},
      {"kind: cpu", "kind: !!str cpu", "own.yaml, line 5: tags"},
      {"kind: cpu", "name: cpu", "own.yaml, line 5: \"name\" occurs twice"},
      {"hardware:", "hardwares:", "own.yaml: must have a list called \"hardware\""},
      {"hardware:", "? [a]\n: 1\nhardware:", "own.yaml, line 2: a key must be a text"},
      {"# What", "---\na: 1\n---\n# What", "own.yaml, line 3: there must be one document"}};
  for (const Wrong& wrong : wrongs) {
    std::string text(kYaml);
    const size_t at = text.find(wrong.from);
    ASSERT_NE(at, std::string::npos) << wrong.from;
    text.replace(at, wrong.from.size(), wrong.to);
    const auto own = parse_hardware(text, "own.yaml");
    ASSERT_FALSE(own) << wrong.to;
    EXPECT_NE(own.error().message.find(wrong.says), std::string::npos) << own.error().message;
    EXPECT_EQ(own.error().kind, ErrorKind::kUsage);
  }
  const auto broken =
      parse_hardware("{\"hardware\": [\n{\"name\": \"x\"\n\"kind\": 1}]}", "own.json");
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("own.json, line 3"), std::string::npos)
      << broken.error().message;
}

TEST(OwnHardware, IsNotBlownUpByNesting) {
  const auto deep = parse_hardware("hardware: " + std::string(100'000, '['), "own.yaml");
  ASSERT_FALSE(deep);
  EXPECT_NE(deep.error().message.find("own.yaml, line 1"), std::string::npos);
}

}  // namespace
}  // namespace fathom::plan
