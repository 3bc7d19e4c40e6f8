// Reading machines from trees like theirs under /sys, whole and broken ones.
#include "base/cpu_topology.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "temporary_directory.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

using Ids = std::vector<int>;

class FakeTree {
 public:
  const fs::path& root() const { return directory_.path(); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root() / path).parent_path());
    std::ofstream(root() / path) << text;
  }
  void cpu(int id, const std::string& siblings) const {
    write("devices/system/cpu/cpu" + std::to_string(id) + "/topology/thread_siblings_list",
          siblings + "\n");
  }
  void node(int id, const std::string& cpus) const {
    write("devices/system/node/node" + std::to_string(id) + "/cpulist", cpus + "\n");
  }

 private:
  test::TemporaryDirectory directory_;
};

Ids order(const CpuTopology& topology) {
  Ids ids;
  for (const Cpu& cpu : topology.cpus) ids.push_back(cpu.id);
  return ids;
}

TEST(CpuTopology, TakesCoresFirstThenTheirSecondThreads) {
  const FakeTree tree;
  for (int i = 0; i < 4; ++i) {
    tree.cpu(i, std::to_string(i) + "," + std::to_string(i + 4));
    tree.cpu(i + 4, std::to_string(i) + "," + std::to_string(i + 4));
  }
  tree.node(0, "0-7");
  const auto topology = read_cpu_topology({0, 1, 2, 3, 4, 5, 6, 7}, tree.root());
  EXPECT_EQ(order(topology), (Ids{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(topology.cpus[5].core, 1);
  EXPECT_EQ(topology.nodes(), Ids{0});
}

TEST(CpuTopology, NeighbouringIdsOfOneCoreComeApart) {
  const FakeTree tree;
  for (int i = 0; i < 6; ++i) {
    tree.cpu(i, std::to_string(i / 2 * 2) + "-" + std::to_string(i / 2 * 2 + 1));
  }
  EXPECT_EQ(order(read_cpu_topology({0, 1, 2, 3, 4, 5}, tree.root())), (Ids{0, 2, 4, 1, 3, 5}));
}

TEST(CpuTopology, NodesTakeTurns) {
  const FakeTree tree;
  for (int i = 0; i < 8; ++i) {
    tree.cpu(i, std::to_string(i % 4) + "," + std::to_string(i % 4 + 4));
  }
  tree.node(0, "0-1,4-5");
  tree.node(1, "2-3,6-7");
  const auto topology = read_cpu_topology({0, 1, 2, 3, 4, 5, 6, 7}, tree.root());
  EXPECT_EQ(order(topology), (Ids{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(topology.nodes(), (Ids{0, 1}));
}

TEST(CpuTopology, LeavesOutWhatTheMaskDoes) {
  const FakeTree tree;
  for (int i = 0; i < 8; ++i) {
    tree.cpu(i, std::to_string(i % 4) + "," + std::to_string(i % 4 + 4));
  }
  tree.node(0, "0-1,4-5");
  tree.node(3, "2-3,6-7");
  // 4 is all that is allowed of its core, so it is as good as 1.
  const auto topology = read_cpu_topology({1, 4, 5}, tree.root());
  EXPECT_EQ(order(topology), (Ids{1, 4, 5}));
  EXPECT_EQ(topology.nodes(), Ids{0});
  EXPECT_EQ(read_cpu_topology({2, 6}, tree.root()).nodes(), Ids{3});
}

TEST(CpuTopology, AnEmptyTreeIsAMachineOfSingleCores) {
  const FakeTree tree;
  const auto topology = read_cpu_topology({3, 1, 2, 1}, tree.root());
  EXPECT_EQ(topology.cpus, (std::vector<Cpu>{{1, 1, 0}, {2, 2, 0}, {3, 3, 0}}));
  EXPECT_EQ(read_cpu_topology({0}, tree.root() / "nothing").cpus, (std::vector<Cpu>{{0, 0, 0}}));
  EXPECT_TRUE(read_cpu_topology({}, tree.root()).cpus.empty());
}

TEST(CpuTopology, BrokenFilesCountAsAbsent) {
  const FakeTree tree;
  tree.cpu(0, "0-");
  tree.cpu(1, "banana");
  tree.cpu(2, "");
  tree.cpu(3, "0,1");            // not itself
  tree.cpu(4, "4,99999999999");  // too large
  tree.cpu(5, "7-5");            // backwards
  tree.node(0, "0-1,");
  tree.node(1, "-3");
  tree.node(2, "4-5");
  tree.write("devices/system/node/node/cpulist", "0\n");
  tree.write("devices/system/node/nodeX/cpulist", "0\n");
  tree.write("devices/system/node/possible", "0\n");
  tree.write("devices/system/node/node3", "a file\n");
  const auto topology = read_cpu_topology({0, 1, 2, 3, 4, 5}, tree.root());
  for (const Cpu& cpu : topology.cpus) {
    EXPECT_EQ(cpu.core, cpu.id);
    EXPECT_EQ(cpu.node, cpu.id >= 4 ? 2 : 0);
  }
  EXPECT_EQ(topology.cpus.size(), 6U);
}

TEST(CpuTopology, ReadsThisMachine) {
  const Ids allowed = allowed_cpus();
  ASSERT_FALSE(allowed.empty());
  const auto topology = read_cpu_topology(allowed, "/sys");
  EXPECT_EQ(topology.cpus.size(), allowed.size());
  EXPECT_FALSE(topology.nodes().empty());
}

TEST(CpuList, IsRangesAndIds) {
  EXPECT_EQ(parse_cpu_list(""), Ids{});
  EXPECT_EQ(parse_cpu_list("5"), Ids{5});
  EXPECT_EQ(parse_cpu_list("8,0-2,2"), (Ids{0, 1, 2, 8}));
  for (const char* wrong :
       {",", "1,", ",1", "1,,2", "a", "1-", "-1", "3-2", "1 2", "0-65536", "1-2-3", "4294967296"}) {
    EXPECT_FALSE(parse_cpu_list(wrong)) << wrong;
  }
}

TEST(CpuQuota, IsTheLeastOfTheGroupsAboveTheProcess) {
  const FakeTree tree;
  EXPECT_FALSE(cpu_quota(tree.root()));
  tree.write("proc/self/cgroup", "0::/system.slice/fathom.service\n");
  EXPECT_FALSE(cpu_quota(tree.root()));
  tree.write("sys/fs/cgroup/system.slice/fathom.service/cpu.max", "max 100000\n");
  EXPECT_FALSE(cpu_quota(tree.root()));
  tree.write("sys/fs/cgroup/system.slice/cpu.max", "350000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_quota(tree.root()).value_or(0), 3.5);
  tree.write("sys/fs/cgroup/system.slice/fathom.service/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_quota(tree.root()).value_or(0), 3.5);
  tree.write("sys/fs/cgroup/cpu.max", "50000 100000\n");  // in a container
  EXPECT_DOUBLE_EQ(cpu_quota(tree.root()).value_or(0), 0.5);
}

TEST(CpuQuota, BrokenFilesAreNoLimit) {
  for (const char* text : {"", "max", "100000", "-1 100000", "0 100000", "x 100000", "100000 0",
                           "100000 x", "nan 100000", "100000 100000 1"}) {
    const FakeTree tree;
    tree.write("proc/self/cgroup", "12:cpu:/old\nnonsense\n0::/../outside\n");
    tree.write("sys/fs/cgroup/cpu.max", std::string(text) + "\n");
    EXPECT_FALSE(cpu_quota(tree.root())) << text;
  }
}

TEST(MemoryLimit, IsTheLeastOfTheGroupsAboveTheProcess) {
  const FakeTree tree;
  EXPECT_FALSE(memory_limit(tree.root()));
  tree.write("proc/self/cgroup", "0::/system.slice/fathom.service\n");
  tree.write("sys/fs/cgroup/system.slice/fathom.service/memory.max", "max\n");
  EXPECT_FALSE(memory_limit(tree.root()));
  tree.write("sys/fs/cgroup/system.slice/memory.max", "4294967296\n");
  EXPECT_EQ(memory_limit(tree.root()), int64_t{4} << 30);
  tree.write("sys/fs/cgroup/system.slice/fathom.service/memory.max", "8589934592\n");
  EXPECT_EQ(memory_limit(tree.root()), int64_t{4} << 30);
  tree.write("sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(memory_limit(tree.root()), int64_t{1} << 30);
}

TEST(MemoryLimit, BrokenFilesAreNoLimit) {
  for (const char* text : {"", "0", "-5", "12 GB", "1e9", "99999999999999999999"}) {
    const FakeTree tree;
    tree.write("sys/fs/cgroup/memory.max", std::string(text) + "\n");
    EXPECT_FALSE(memory_limit(tree.root())) << text;
  }
}

}  // namespace
}  // namespace fathom
