// Pictures as SVG text: shapes, escaped text, and diagrams with axes, linear or logarithmic. One
// colour scheme, so that all of the program's plots look alike. Each object belongs to one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::svg {

inline constexpr std::string_view kBlue = "#1f5fb3";
inline constexpr std::string_view kRed = "#b3391f";
inline constexpr std::string_view kGreen = "#2e7d4f";
inline constexpr std::string_view kViolet = "#7a4aa0";
inline constexpr std::string_view kOrange = "#c27b14";
// The i-th of several series; after the last they begin anew.
std::string_view series_colour(size_t i);

// For text and attributes of XML and HTML; control characters, which XML does not allow, become
// blanks.
std::string escaped(std::string_view text);

struct Point {
  double x = 0;
  double y = 0;
};

enum class Anchor { kStart, kMiddle, kEnd };

// Shapes in picture coordinates: pixels, y downwards.
class Picture {
 public:
  Picture(double width, double height, double font_size = 12)
      : width_(width), height_(height), font_size_(font_size) {}

  void line(Point from, Point to, std::string_view colour, std::string_view dashes = {});
  void polyline(std::span<const Point> points, std::string_view colour);
  void circle(Point centre, double radius, std::string_view colour, double opacity = 1);
  void rectangle(Point corner, double width, double height, std::string_view colour);
  // Turned by `degrees` around its point, clockwise.
  void text(Point at, std::string_view words, std::string_view colour = "#222",
            Anchor anchor = Anchor::kStart, double degrees = 0, double font_size = 0);
  // `label`: what a screen reader says; empty: nothing.
  std::string finish(std::string_view label = {}) const;

 private:
  double width_;
  double height_;
  double font_size_;
  std::string shapes_;
};

struct Axis {
  std::string name;
  double from = 0;
  double to = 1;
  bool logarithmic = false;  // from and to must be above 0, and are widened to powers of ten
  std::string unit = {};     // behind each number
};

// The least of 1, 2 or 5 times a power of ten that makes at most five steps of `most` (above 0).
double step_of(double most);

// A rectangle of a picture with axes. Points are in the axes' values; those outside are drawn where
// they are.
class Diagram {
 public:
  // Draws the grid and the axes' numbers and names.
  Diagram(Picture& picture, Point corner, double width, double height, Axis x, Axis y,
          std::string_view title = {});

  Point place(Point value) const;
  void curve(std::span<const Point> values, std::string_view colour);
  void dots(std::span<const Point> values, std::string_view colour, double radius = 2,
            double opacity = 0.5);
  const Axis& x() const { return x_; }  // after widening
  const Axis& y() const { return y_; }
  double left() const { return corner_.x; }
  double right() const { return corner_.x + width_; }
  double top() const { return corner_.y; }
  double bottom() const { return corner_.y + height_; }

 private:
  void draw_ticks(const Axis& axis, bool horizontal);

  Picture& picture_;
  Point corner_;
  double width_;
  double height_;
  Axis x_;
  Axis y_;
};

}  // namespace fathom::svg
