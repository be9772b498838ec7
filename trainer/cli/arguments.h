#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What every command shares: its options, its --help, and its mistakes.
namespace lockstep {

// An option of a command, without its dashes: {"workers", "N", "threads of this process that train"}.
struct Option {
  std::string name;
  std::string value;  // what stands for the value in the help; empty: a flag, which takes none
  std::string meaning;
  bool repeats = false;  // may be given more than once
};
// --set key=value, as every command that reads a configuration has it.
Option set_option();

// A command as its --help shows it. --help itself need not be listed.
struct Usage {
  std::string command;                // "train", or "bench step"
  std::string synopsis;               // what follows the name: "CONFIG.yaml [--set key=value]... [--resume]"
  std::string purpose;                // a few sentences
  std::string example;                // whole lines, as typed
  std::vector<Option> options;        // in the order of the help
  std::vector<std::string> operands;  // names of what is not an option, in order: {"CONFIG.yaml"}
  std::size_t required_operands = 0;  // how many of them must be there
  bool many_operands = false;         // the last may repeat
};
std::string help_text(const Usage& usage);

// A command line that fits its Usage.
class Arguments {
 public:
  bool has(const std::string& option) const { return values_.contains(option); }
  // The value of an option that was given; empty where it was not.
  std::optional<std::string> value(const std::string& option) const;
  // All values of an option that repeats, in order.
  std::vector<std::string> values(const std::string& option) const;
  // A whole number in [least, most], or `otherwise` where the option was not given. Throws UsageError.
  std::int64_t integer(const std::string& option, std::int64_t otherwise, std::int64_t least,
                       std::int64_t most) const;
  const std::vector<std::string>& operands() const { return operands_; }
  std::size_t given() const { return values_.size() + operands_.size(); }  // different options, and operands

 private:
  friend std::optional<Arguments> parse_arguments(const Usage&, const std::vector<std::string>&);
  std::string command_;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> operands_;
};

// Reads a command line. On --help prints the help (on standard output, rank 0 only) and answers nothing: the
// command returns 0. Throws UsageError on an unknown option (naming the nearest), a missing or superfluous
// value or operand, and an option given twice.
std::optional<Arguments> parse_arguments(const Usage& usage, const std::vector<std::string>& arguments);

// Throws UsageError where both options are given: {"resume", "overwrite"}.
void require_exclusive(const Usage& usage, const Arguments& arguments, const std::string& one,
                       const std::string& other);

// Throws UsageError where the option, which was given, has anything beside it.
void require_alone(const Usage& usage, const Arguments& arguments, const std::string& option);

// Throws UsageError under a launcher of more than one worker: only train and bench run on several.
void require_one_worker(std::string_view command);

// Whether this process talks to the user: alone, or rank 0 of its launcher.
bool speaks();

}  // namespace lockstep
