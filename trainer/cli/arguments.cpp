#include "trainer/cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cstdio>

#include "comm/base/error.h"
#include "comm/mpi/mpi.h"
#include "trainer/cli/program.h"
#include "trainer/config/nearest.h"

namespace lockstep {

namespace {

namespace po = boost::program_options;

[[noreturn]] void refuse(const std::string& command, const std::string& wrong) {
  throw UsageError(
      fmt::format("{2} {0}: {1}\n{2} {0} --help shows how it is used", command, wrong, program_name()));
}

const Option* find_option(const Usage& usage, const std::string& name) {
  const auto option = std::find_if(usage.options.begin(), usage.options.end(),
                                   [&](const Option& it) { return it.name == name; });
  return option == usage.options.end() ? nullptr : &*option;
}

po::options_description description(const Usage& usage) {
  po::options_description all;
  all.add_options()("help,h", "");
  for (const Option& option : usage.options) {
    if (option.value.empty()) {
      all.add_options()(option.name.c_str(), "");
    } else {
      all.add_options()(option.name.c_str(), po::value<std::string>(), "");
    }
  }
  return all;
}

std::vector<po::option> split(const Usage& usage, const std::vector<std::string>& arguments) {
  namespace style = po::command_line_style;
  const po::options_description all = description(usage);
  try {
    return po::command_line_parser(arguments)
        .options(all)
        .style(style::unix_style & ~style::allow_guessing)
        .allow_unregistered()
        .run()
        .options;
  } catch (const po::error& error) {
    refuse(usage.command, error.what());
  }
}

std::string unknown_option(const Usage& usage, const std::string& typed) {
  std::vector<std::string> known{"--help"};
  for (const Option& option : usage.options) known.push_back(fmt::format("--{}", option.name));
  return fmt::format("unknown option {}; did you mean '{}'?", in_quotes(typed), nearest(typed, known));
}

void check_operands(const Usage& usage, const std::vector<std::string>& operands) {
  if (operands.size() < usage.required_operands) {
    refuse(usage.command, usage.operands[operands.size()] + " is missing");
  }
  if (operands.size() > usage.operands.size() && !usage.many_operands) {
    refuse(usage.command, in_quotes(operands[usage.operands.size()]) + " is one argument too many");
  }
}

}  // namespace

Option set_option() {
  return {.name = "set",
          .value = "key=value",
          .meaning = "change a key of the configuration, as in batch.global=512",
          .repeats = true};
}

std::string help_text(const Usage& usage) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Option& option : usage.options) {
    rows.emplace_back(fmt::format("--{}{}{}", option.name, option.value.empty() ? "" : " ", option.value),
                      option.meaning + (option.repeats ? "; may be repeated" : ""));
  }
  rows.emplace_back("--help", "show this text");
  std::size_t width = 0;
  for (const auto& [option, meaning] : rows) width = std::max(width, option.size());
  std::string text =
      fmt::format("usage: {} {} {}\n\n{}\n\n", program_name(), usage.command, usage.synopsis, usage.purpose);
  for (const auto& [option, meaning] : rows) text += fmt::format("  {:<{}}  {}\n", option, width, meaning);
  return text + fmt::format("\nexample:\n{}\n", as_typed(usage.example));
}

std::optional<std::string> Arguments::value(const std::string& option) const {
  const auto given = values_.find(option);
  return given == values_.end() ? std::nullopt : std::optional(given->second.back());
}

std::vector<std::string> Arguments::values(const std::string& option) const {
  const auto given = values_.find(option);
  return given == values_.end() ? std::vector<std::string>{} : given->second;
}

std::int64_t Arguments::integer(const std::string& option, std::int64_t otherwise, std::int64_t least,
                                std::int64_t most) const {
  const auto text = value(option);
  if (!text) return otherwise;
  std::int64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc{} || stop != end || number < least || number > most) {
    refuse(command_, fmt::format("--{}: expected a whole number, {} to {}; found {}", option, least, most,
                                 in_quotes(*text)));
  }
  return number;
}

std::optional<Arguments> parse_arguments(const Usage& usage, const std::vector<std::string>& arguments) {
  Arguments parsed;
  parsed.command_ = usage.command;
  std::vector<std::string> wrong;
  for (const po::option& option : split(usage, arguments)) {
    if (option.string_key.empty()) {
      parsed.operands_.insert(parsed.operands_.end(), option.value.begin(), option.value.end());
    } else if (option.unregistered) {
      wrong.push_back(unknown_option(usage, option.original_tokens.front()));
    } else if (option.string_key == "help") {
      if (speaks()) fmt::print("{}", help_text(usage));
      return std::nullopt;
    } else {
      if (option.original_tokens.size() > 1 && option.original_tokens.back().starts_with("--")) {
        wrong.push_back(fmt::format("--{} needs a value", option.string_key));
      }
      auto& values = parsed.values_[option.string_key];
      values.push_back(option.value.empty() ? "" : option.value.front());
      if (values.size() == 2 && !find_option(usage, option.string_key)->repeats) {
        wrong.push_back(fmt::format("--{} is given twice", option.string_key));
      }
    }
  }
  if (!wrong.empty()) refuse(usage.command, fmt::format("{}", fmt::join(wrong, "\n")));
  check_operands(usage, parsed.operands_);
  return parsed;
}

void require_exclusive(const Usage& usage, const Arguments& arguments, const std::string& one,
                       const std::string& other) {
  if (arguments.has(one) && arguments.has(other)) {
    refuse(usage.command, fmt::format("--{} and --{} exclude each other", one, other));
  }
}

void require_alone(const Usage& usage, const Arguments& arguments, const std::string& option) {
  if (arguments.given() > 1) refuse(usage.command, fmt::format("--{} stands alone", option));
}

void require_one_worker(std::string_view command) {
  const auto launch = launched();
  if (!launch || launch->size == 1) return;
  throw UsageError(fmt::format("{} {} runs on one worker and was started on {}; run it without the launcher",
                               program_name(), command, launch->size));
}

bool speaks() {
  const auto launch = launched();
  return !launch || launch->rank == 0;
}

}  // namespace lockstep
