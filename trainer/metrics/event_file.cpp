#include "trainer/metrics/event_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <iterator>
#include <string_view>
#include <system_error>

#include "comm/base/error.h"
#include "trainer/encoding/protobuf.h"
#include "trainer/encoding/tf_record.h"
#include "trainer/metrics/event_fields.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// TensorBoard knows its files by the middle of this name, and reads those of a run in the order of their
// names.
constexpr std::string_view prefix = "events.out.tfevents.";

// Named after the time, as TensorFlow does it; behind those that are there, whatever the clock says.
fs::path next_file(const fs::path& run) {
  std::int64_t number =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
  std::error_code error;
  fs::directory_iterator entry(run, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    std::int64_t taken = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), taken);
    number = std::max(number, taken + 1);
  }
  if (error) throw DataError(fmt::format("{}: cannot be read: {}", run.string(), error.message()));
  return run / fmt::format("{}{:010}", prefix, number);
}

ProtobufMessage event_at(std::int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  ProtobufMessage message;
  message.real(tensorboard::event::wall_time, now.count());
  message.integer(tensorboard::event::step, step);
  return message;
}

std::string record(std::int64_t step, const ProtobufMessage& summary) {
  ProtobufMessage message = event_at(step);
  message.message(tensorboard::event::summary, summary);
  return tf_record(message.encoded());
}

std::string version_record() {
  ProtobufMessage message = event_at(0);
  message.bytes(tensorboard::event::file_version, "brain.Event:2");
  return tf_record(message.encoded());
}

std::string start_record(std::int64_t step) {
  ProtobufMessage log;
  log.integer(tensorboard::session_log::status, tensorboard::session_log::start);
  ProtobufMessage message = event_at(step);
  message.message(tensorboard::event::session_log, log);
  return tf_record(message.encoded());
}

// Buckets of equal width between the least and the greatest value.
ProtobufMessage histogram_of(std::span<const double> values) {
  constexpr std::size_t buckets = 30;
  const auto [least, greatest] = std::ranges::minmax(values);
  const std::size_t used = least < greatest ? buckets : 1;
  const double width = (greatest - least) / static_cast<double>(used);
  std::vector<double> limits(used, greatest);
  std::vector<double> counts(used, 0.0);
  for (std::size_t i = 0; i + 1 < used; ++i) limits[i] = least + static_cast<double>(i + 1) * width;
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    const auto bucket = std::lower_bound(limits.begin(), limits.end() - 1, value) - limits.begin();
    counts[static_cast<std::size_t>(bucket)] += 1;
    sum += value;
    squares += value * value;
  }
  ProtobufMessage message;
  message.real(tensorboard::histogram::min, least);
  message.real(tensorboard::histogram::max, greatest);
  message.real(tensorboard::histogram::num, static_cast<double>(values.size()));
  message.real(tensorboard::histogram::sum, sum);
  message.real(tensorboard::histogram::sum_squares, squares);
  message.reals(tensorboard::histogram::bucket_limit, limits);
  message.reals(tensorboard::histogram::bucket, counts);
  return message;
}

}  // namespace

EventFile::EventFile(const fs::path& run, std::int64_t first_step) : file_(next_file(run)) {
  file_.keep(version_record());
  file_.keep(start_record(first_step + 1));
}

void EventFile::scalars(std::int64_t step, const ByTag<double>& values) {
  ProtobufMessage summary;
  for (const auto& [tag, number] : values) {
    ProtobufMessage value;
    value.bytes(tensorboard::value::tag, tag);
    value.real(tensorboard::value::simple_value, static_cast<float>(number));
    summary.message(tensorboard::summary::value, value);
  }
  file_.write(record(step, summary));
}

void EventFile::histograms(std::int64_t step, const ByTag<std::span<const float>>& values) {
  ProtobufMessage summary;
  std::vector<double> finite;
  for (const auto& [tag, numbers] : values) {
    finite.clear();
    std::ranges::copy_if(numbers, std::back_inserter(finite), [](float it) { return std::isfinite(it); });
    if (finite.empty()) continue;
    ProtobufMessage value;
    value.bytes(tensorboard::value::tag, tag);
    value.message(tensorboard::value::histo, histogram_of(finite));
    summary.message(tensorboard::summary::value, value);
  }
  file_.write(record(step, summary));
}

void EventFile::text(std::int64_t step, const std::string& tag, const std::string& markdown) {
  ProtobufMessage plugin;
  plugin.bytes(tensorboard::metadata::plugin_name, "text");
  ProtobufMessage metadata;
  metadata.message(tensorboard::metadata::plugin_data, plugin);
  ProtobufMessage tensor;
  tensor.integer(tensorboard::tensor::dtype, tensorboard::tensor::dtype_string);
  tensor.message(tensorboard::tensor::tensor_shape, {});  // one string, no list
  tensor.bytes(tensorboard::tensor::string_val, markdown);
  ProtobufMessage value;
  value.bytes(tensorboard::value::tag, tag);
  value.message(tensorboard::value::metadata, metadata);
  value.message(tensorboard::value::tensor, tensor);
  ProtobufMessage summary;
  summary.message(tensorboard::summary::value, value);
  file_.write(record(step, summary));
}

}  // namespace lockstep
