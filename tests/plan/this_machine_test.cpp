#include "plan/this_machine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/cpu_topology.h"
#include "kernels/kernels.h"
#include "plan/fit.h"
#include "temporary_directory.h"

namespace fathom::plan {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// What Linux says of a machine, in files of our own, and a folder for measurements.
class FakeMachine : public ::testing::Test {
 protected:
  FakeMachine() {
    write("proc/cpuinfo", "processor\t: 0\nmodel name\t: A Fine Processor\n");
    memory("16384000", "8192000");
  }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  void memory(const std::string& total, const std::string& available) const {
    write("proc/meminfo", "MemTotal:       " + total +
                              " kB\nMemFree:  99 kB\nMemAvailable:   " + available + " kB\n");
  }
  // So little that whoever measures fails: what is found then was kept.
  void leave_no_memory_to_measure() const { memory("16384000", "100000"); }

  MachineOptions options() const {
    return {.folder = folder_ / "kept", .threads = 1, .root = folder_};
  }
  fs::path kept() const { return folder_ / "kept" / "machine.json"; }
  // Measurements as this program keeps them, of a processor of that name, but for `changes`.
  void keep(const Json& changes, const char* cpu = "A Fine Processor") const {
    const auto kernels = Kernels::make(KernelChoice::kAuto, ThreadOptions(1));
    Json json = {
        {"machine",
         {{"cpu", cpu}, {"kernels", kernels->name()}, {"threads", 1}, {"version", FATHOM_VERSION}}},
        {"date", "2026-01-02"},
        {"read_bytes_per_second", 11e9},
        {"int8_ops_per_second", 2e12},
        {"float_ops_per_second", 5e11}};
    json.update(changes);
    write("kept/machine.json", json.dump());
  }

  test::TemporaryDirectory directory_;
  const fs::path folder_ = directory_.path();
};

TEST_F(FakeMachine, IsDescribedByWhatTheSystemSays) {
  const int first = allowed_cpus().front();
  const std::string cache = "sys/devices/system/cpu/cpu" + std::to_string(first) + "/cache/index";
  const auto add = [&](int index, const char* level, const char* type, const char* size,
                       const char* sharers) {
    const fs::path at = cache + std::to_string(index);
    write(at / "level", std::string(level) + "\n");
    write(at / "type", std::string(type) + "\n");
    write(at / "size", std::string(size) + "\n");
    write(at / "shared_cpu_list", std::string(sharers) + "\n");
  };
  add(0, "1", "Data", "48K", "0-1");
  add(1, "1", "Instruction", "32K", "0-1");
  add(2, "2", "Unified", "1M", "0-1");
  add(3, "3", "Unified", "32768K", "0-7,16-23");
  write("sys/devices/system/node/node0/cpulist", "100-101\n");
  write("sys/devices/system/node/node3/cpulist", std::to_string(first) + "\n");
  keep(Json::object());
  const auto machine = this_machine(options());
  ASSERT_TRUE(machine.has_value()) << machine.error().message;
  EXPECT_EQ(machine->cpu, "A Fine Processor");
  EXPECT_EQ(machine->threads, 1);
  EXPECT_GE(machine->cores, 1);
  EXPECT_GE(machine->nodes, 1);
  ASSERT_EQ(machine->caches.size(), 3U);
  EXPECT_EQ(machine->caches[0].name, "L1d");
  EXPECT_EQ(machine->caches[0].bytes, 48 << 10);
  EXPECT_EQ(machine->caches[0].sharers, 2);
  EXPECT_EQ(machine->caches[1].name, "L2");
  EXPECT_EQ(machine->caches[1].bytes, 1 << 20);
  EXPECT_EQ(machine->caches[2].name, "L3");
  EXPECT_EQ(machine->caches[2].bytes, 32 << 20);
  EXPECT_EQ(machine->caches[2].sharers, 16);
  EXPECT_GT(machine->disk_bytes_free, 0);
  EXPECT_EQ(machine->measured_on, "2026-01-02");

  const Hardware& hardware = machine->hardware;
  EXPECT_EQ(hardware.name, "this");
  EXPECT_EQ(hardware.title, "this machine: A Fine Processor, 1 threads");
  EXPECT_EQ(hardware.memory_bytes, int64_t{16384000} * 1024);
  EXPECT_EQ(hardware.ceilings.read_bytes_per_second, 11e9);
  EXPECT_EQ(hardware.ceilings.int8_ops_per_second, 2e12);
  EXPECT_EQ(hardware.ceilings.float_ops_per_second, 5e11);
  EXPECT_TRUE(hardware.measured);
  EXPECT_TRUE(hardware.fathom_runs_here);
  for (const char* words : {"L1d 48 KiB", "L2 1024 KiB", "L3 32768 KiB", "16.8 GB of memory",
                            "GB of disk free", "measured here on 2026-01-02: 11.0 GB/s",
                            "2000 GOPS in INT8, 500 in F32", "until fathom plan --fit"}) {
    EXPECT_NE(hardware.source.find(words), std::string::npos) << hardware.source;
  }
}

TEST_F(FakeMachine, HasNoMoreMemoryThanItsControlGroupAllows) {
  keep(Json::object());
  write("proc/self/cgroup", "0::/box\n");
  write("sys/fs/cgroup/box/memory.max", "max\n");
  EXPECT_EQ(this_machine(options())->hardware.memory_bytes, int64_t{16384000} * 1024);
  write("sys/fs/cgroup/box/memory.max", "4294967296\n");
  EXPECT_EQ(this_machine(options())->hardware.memory_bytes, int64_t{4} << 30);
  write("sys/fs/cgroup/box/memory.max", "99999999999999\n");
  EXPECT_EQ(this_machine(options())->hardware.memory_bytes, int64_t{16384000} * 1024);
}

TEST_F(FakeMachine, ThatSaysLittleIsTakenForTheSimplest) {
  keep(Json::object(), "unknown processor");
  fs::remove(folder_ / "proc/cpuinfo");
  const auto machine = this_machine(options());
  ASSERT_TRUE(machine.has_value()) << machine.error().message;
  EXPECT_EQ(machine->cpu, "unknown processor");
  EXPECT_EQ(machine->nodes, 1);
  EXPECT_TRUE(machine->caches.empty());
}

TEST_F(FakeMachine, IsMeasuredOnceAndKeptWithTheDate) {
  const auto first = this_machine(options());
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_GT(first->hardware.ceilings.read_bytes_per_second, 1e8);
  EXPECT_EQ(first->measured_on, today());
  ASSERT_TRUE(fs::is_regular_file(kept()));
  leave_no_memory_to_measure();
  const auto second = this_machine(options());
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_EQ(second->hardware.ceilings.read_bytes_per_second,
            first->hardware.ceilings.read_bytes_per_second);
  auto again = options();
  again.measure_again = true;
  const auto third = this_machine(again);
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().message,
            "This machine's ceilings cannot be measured: 97 MB of memory are free and measuring "
            "takes 512 MB. End other programs, or plan for named hardware (--hardware).");
}

TEST_F(FakeMachine, IsMeasuredAgainWhereWhatWasKeptIsDamagedOrAnothers) {
  keep(Json::object());
  leave_no_memory_to_measure();
  ASSERT_TRUE(this_machine(options()).has_value());
  auto more_threads = options();
  more_threads.threads = 2;
  EXPECT_FALSE(this_machine(more_threads).has_value());
  for (const Json& damage :
       {Json{{"read_bytes_per_second", -1}}, Json{{"int8_ops_per_second", "fast"}},
        Json{{"float_ops_per_second", 0}}, Json{{"float_ops_per_second", nullptr}},
        Json{{"date", 5}}, Json{{"machine", "another"}}}) {
    keep(damage);
    EXPECT_FALSE(this_machine(options()).has_value()) << damage;
  }
  for (const char* text : {"", "{", "[]", "null", "{}"}) {
    write("kept/machine.json", text);
    EXPECT_FALSE(this_machine(options()).has_value()) << text;
  }
  keep(Json::object());
  ASSERT_TRUE(this_machine(options()).has_value());
  write("proc/cpuinfo", "model name\t: Another Processor\n");
  EXPECT_FALSE(this_machine(options()).has_value());
}

TEST_F(FakeMachine, ThatDoesNotSayHowMuchMemoryItHasIsNoneToPlanFor) {
  for (const char* text : {"", "MemTotal: much kB\n", "MemTotal:\n", "MemTotal: 0 kB\n"}) {
    write("proc/meminfo", text);
    const auto machine = this_machine(options());
    ASSERT_FALSE(machine.has_value()) << text;
    EXPECT_NE(machine.error().message.find("/proc/meminfo"), std::string::npos);
  }
}

TEST_F(FakeMachine, UsesCostsThatWereFittedHere) {
  keep(Json::object());
  const auto before = this_machine(options());
  ASSERT_TRUE(before.has_value()) << before.error().message;
  ASSERT_NE(before->hardware.costs, nullptr);
  EXPECT_FALSE(before->hardware.efficiency.measured);
  EXPECT_NE(before->hardware.source.find("until fathom plan --fit"), std::string::npos);
  EXPECT_EQ(before->hardware.costs->seconds, likely_costs(before->hardware.ceilings).seconds);

  StepCosts costs = *before->hardware.costs;
  costs.seconds[Unit::kLayer] = 0.25;
  ASSERT_TRUE(write_fit(options().folder / "fit.json", *before, costs).has_value());
  const auto after = this_machine(options());
  ASSERT_TRUE(after.has_value()) << after.error().message;
  EXPECT_TRUE(after->hardware.efficiency.measured);
  EXPECT_EQ(after->hardware.costs->seconds[Unit::kLayer], 0.25);
  EXPECT_NE(after->hardware.source.find("steps fitted to fathom bench on"), std::string::npos);
}

TEST_F(FakeMachine, SaysWhereMeasurementsCannotBeKept) {
  write("file", "");
  const auto status = write_measurements(folder_ / "file" / "machine.json", "{}");
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find("could not be written"), std::string::npos);
}

}  // namespace
}  // namespace fathom::plan
