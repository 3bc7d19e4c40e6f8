// Reads JSON as it is written, a character at a time, without keeping it: where a value ends, and
// of a tool call's object ({"name": ..., "arguments": {...}}) its name and the text of its
// arguments as it grows. What comes is a model's and may be anything; a value whose brackets and
// quotes match is taken as it stands. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace fathom {

// Finds the end of one value.
class JsonValueScanner {
 public:
  enum class Step {
    kInside,  // the character belongs to the value
    kLast,    // and ends it
    kBehind,  // the value ended before this character: a number or a word
  };
  Step feed(char c);

 private:
  bool begun_ = false;
  bool scalar_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
  int64_t depth_ = 0;
};

// The object of one tool call. Its name may come before or after its arguments, which may be called
// "parameters", and may be a string that holds their JSON.
class CallScanner {
 public:
  enum class State {
    kOpen,
    kDone,    // its last bracket was read
    kBroken,  // no such object
  };
  State feed(char c);

  bool has_name() const { return has_name_; }
  const std::string& name() const { return name_; }
  // The next piece of the arguments' text. At the end the pieces are a whole object, if an empty
  // one.
  std::string take_arguments() { return std::exchange(arguments_, {}); }

 private:
  enum class Place { kStart, kBeforeKey, kKey, kColon, kBeforeValue, kValue, kAfterValue };
  enum class Field { kOther, kName, kArguments };

  State feed_value(char c);
  State end_value();

  Place place_ = Place::kStart;
  Field field_ = Field::kOther;
  JsonValueScanner value_;
  std::string raw_;       // the key or the value that is read, where it is needed whole
  bool streams_ = false;  // the value is an object of arguments: passed on as it comes
  bool first_key_ = true;
  bool has_name_ = false;
  bool has_arguments_ = false;
  std::string name_;
  std::string arguments_;
};

}  // namespace fathom
