// EXPECT that a Result is an error whose message has all the given parts: an error that does not
// say what was wrong and where is no better than a crash.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom {

template <typename T>
void expect_error(const Result<T>& result, std::initializer_list<std::string_view> parts) {
  ASSERT_FALSE(result.has_value()) << "accepted what it should refuse";
  for (const std::string_view part : parts) {
    EXPECT_NE(result.error().message.find(part), std::string::npos)
        << "\"" << part << "\" is not in: " << result.error().message;
  }
}

template <typename T>
void expect_ok(const Result<T>& result) {
  ASSERT_TRUE(result.has_value()) << result.error().message;
}

}  // namespace fathom
