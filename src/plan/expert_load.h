// How a router's choices fall on devices that hold whole experts: a step waits for the device that
// has the most to do, so what counts is not the mean but the expected maximum over devices.
// Immutable once made; any thread.
#pragma once

#include <array>
#include <cstddef>

namespace fathom::plan {

class ExpertLoad {
 public:
  // One device, which has everything.
  ExpertLoad() = default;
  // `experts` of a layer on so many devices, each row choosing `per_token` of them, all equally
  // likely. What falls on a device is taken for binomial: of r rows' choices each with a chance of
  // 1 / devices, and of its experts each with the chance that any row chooses it. The expected
  // maximum of devices that are independent is the sum over x of 1 - F(x)^devices (David and
  // Nagaraja 2003, "Order Statistics", chapter 3).
  ExpertLoad(double experts, double per_token, int devices);

  struct Most {
    double choices = 0;  // rows times their experts that the device computes
    double experts = 0;  // that it reads
  };
  // Of the device with the most, in one layer. Interpolated between tabulated numbers of rows.
  Most most(double rows) const;

 private:
  static constexpr size_t kKnots = 17;  // 1, 2, 4, ... 65,536 rows
  double experts_ = 1;
  double per_token_ = 1;
  double devices_ = 1;
  // Over the mean of all devices.
  std::array<double, kKnots> choices_{};
  std::array<double, kKnots> distinct_{};
};

// Expected maximum of `count` independent binomial numbers, of `trials` with a chance of `chance`.
double expected_most_binomial(double trials, double chance, int count);

}  // namespace fathom::plan
