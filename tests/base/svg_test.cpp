#include "base/svg.h"

#include <gtest/gtest.h>

namespace fathom::svg {
namespace {

TEST(Svg, EscapesWhatXmlDoesNotTake) {
  EXPECT_EQ(escaped("a < b & \"c\" > d\n"), "a &lt; b &amp; &quot;c&quot; &gt; d ");
  Picture picture(100, 50);
  picture.text({1, 2}, "<script>");
  const std::string text = picture.finish("x \"y\"");
  EXPECT_EQ(text.find("<script>"), std::string::npos);
  EXPECT_NE(text.find("aria-label=\"x &quot;y&quot;\""), std::string::npos);
}

TEST(Svg, StepsAreOneTwoOrFive) {
  EXPECT_DOUBLE_EQ(step_of(5), 1);
  EXPECT_DOUBLE_EQ(step_of(7), 2);
  EXPECT_DOUBLE_EQ(step_of(23), 5);
  EXPECT_DOUBLE_EQ(step_of(0.3), 0.1);
}

TEST(Svg, PlacesValuesOnLinearAxes) {
  Picture picture(200, 200);
  const Diagram diagram(picture, {50, 20}, 100, 80, {.name = "x", .to = 10},
                        {.name = "y", .to = 4});
  EXPECT_DOUBLE_EQ(diagram.place({0, 0}).x, 50);
  EXPECT_DOUBLE_EQ(diagram.place({0, 0}).y, 100);
  EXPECT_DOUBLE_EQ(diagram.place({10, 4}).x, 150);
  EXPECT_DOUBLE_EQ(diagram.place({5, 2}).y, 60);
}

TEST(Svg, PlacesValuesOnLogarithmicAxesWidenedToPowersOfTen) {
  Picture picture(200, 200);
  const Diagram diagram(picture, {0, 0}, 300, 100,
                        {.name = "x", .from = 2, .to = 700, .logarithmic = true},
                        {.name = "y", .from = 1, .to = 100, .logarithmic = true});
  EXPECT_DOUBLE_EQ(diagram.x().from, 1);
  EXPECT_DOUBLE_EQ(diagram.x().to, 1000);
  EXPECT_DOUBLE_EQ(diagram.place({10, 10}).x, 100);
  EXPECT_DOUBLE_EQ(diagram.place({10, 10}).y, 50);
  EXPECT_NE(picture.finish().find(">1000</text>"), std::string::npos);
}

TEST(Svg, AxesWithoutAnyExtentAreDrawn) {
  Picture picture(200, 200);
  const Diagram diagram(picture, {0, 0}, 100, 100, {.name = "x", .to = 0}, {.name = "y", .to = 0});
  EXPECT_EQ(picture.finish().find("nan"), std::string::npos);
  EXPECT_DOUBLE_EQ(diagram.place({0, 0}).y, 100);
}

}  // namespace
}  // namespace fathom::svg
