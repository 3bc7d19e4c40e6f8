#include "base/progress.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace fathom {
namespace {

TEST(Progress, ShowsShareAmountSpeedAndTimeLeft) {
  const std::string line = render_progress_line("Model", 25'000'000, 100'000'000, 12'500'000, 90);
  EXPECT_TRUE(line.starts_with("Model  [#")) << line;
  EXPECT_TRUE(line.ends_with("]   25%  25.0 MB of 100.0 MB  12.5 MB/s  0:06 left")) << line;
  const auto filled = std::ranges::count(line, '#');
  const auto empty = std::ranges::count(line, '-');
  EXPECT_EQ(filled, (filled + empty) / 4) << line;
}

TEST(Progress, NeverIsWiderThanTheTerminal) {
  for (int columns = 1; columns < 120; ++columns) {
    const std::string line =
        render_progress_line("A label of some length", 1, 999'999'999'999, 1, columns);
    EXPECT_LE(line.size(), static_cast<size_t>(columns));
  }
}

TEST(Progress, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(render_progress_line("Model", 1500, -1, 0, 80), "Model  1.5 kB");
  EXPECT_EQ(render_progress_line("Model", 1500, -1, 500, 80), "Model  1.5 kB  500 B/s");
}

TEST(Progress, CountsInDecimalUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(999'960), "1.0 MB");
  EXPECT_EQ(format_bytes(92'871'040), "92.9 MB");
  EXPECT_EQ(format_bytes(int64_t{1} << 62), "4.6 EB");
}

TEST(Progress, WritesTimesAsClocksDo) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(59.2), "1:00");
  EXPECT_EQ(format_duration(760), "12:40");
  EXPECT_EQ(format_duration(11'100), "3:05:00");
}

TEST(Progress, IsSilentInALogUntilThereIsNews) {
  testing::internal::CaptureStderr();
  {
    Progress progress("Model", 100);
    for (int i = 0; i <= 100; ++i) progress.set(i);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace fathom
