#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "comm/base/error.h"
#include "trainer/config/config.h"
#include "trainer/config/keys.h"
#include "trainer/config/normalization.h"
#include "trainer/config/yaml.h"

namespace lockstep {

namespace {

constexpr std::size_t most_bytes = 1 << 20;

// Reads sources one after the other into one Config; what is wrong with any of them is kept until the end.
class Reader {
 public:
  void read_file(const std::string& yaml, const std::string& name);
  void read_setting(const std::string& setting);
  // The configuration, or one UsageError with all mistakes.
  Config finish();

 private:
  // The value that a text holds; nothing where it is no YAML.
  std::optional<YAML::Node> parse(const std::string& yaml, const Place& place);
  void read_value(const YAML::Node& value, const YAML::Node& key_node, const Place& place);
  void read_group(const YAML::Node& value, const Place& place);
  void read_key(const YAML::Node& value, const YAML::Node& key_node, const Key& key, const Place& place);
  // Whether all these keys could be read, so that a mistake between them would not be a consequence.
  bool sound(std::initializer_list<const char*> paths) const;
  void check_together(const std::string& path, const std::string& wrong);
  void check_input_normalization();
  void check_validation();
  void check_precision();
  void check_bounds(const std::string& path, const std::vector<double>& bounds, bool may_be_empty);

  Config config_;
  Mistakes mistakes_;
  std::map<std::string, Origin> given_;
  std::set<std::string> faulty_;
};

void Reader::read_file(const std::string& yaml, const std::string& name) {
  const Place place(mistakes_, mistakes_.open_file(name));
  if (const auto root = parse(yaml, place)) read_group(*root, place);
}

void Reader::read_setting(const std::string& setting) {
  const auto equals = setting.find('=');
  const std::string path = setting.substr(0, equals);
  const std::size_t source = mistakes_.open_setting(setting, path);
  const Place place(mistakes_, source, path);
  const YAML::Node nowhere;
  if (equals == std::string::npos || path.empty()) {
    return place.mistake(nowhere, "expected key=value, as in batch.global=512");
  }
  const std::string text = setting.substr(equals + 1);
  // An empty value is an empty text: --set data.path= takes the path away.
  const auto value = text.empty() ? YAML::Node(text) : parse(text, place);
  if (value) read_value(*value, nowhere, place);
}

std::optional<YAML::Node> Reader::parse(const std::string& yaml, const Place& place) {
  if (yaml.size() > most_bytes) {
    place.mistake(YAML::Node(),
                  fmt::format("larger than {} KiB; is this a configuration?", most_bytes / 1024));
    return std::nullopt;
  }
  try {
    const YamlDocument document = parse_yaml(yaml);
    if (document.rest) {
      place.mistake(place.origin(*document.rest),
                    "the document has ended, and more follows; one document is read");
    }
    return document.root;
  } catch (const YAML::Exception& error) {
    place.mistake(place.origin(error.mark), "not valid YAML: " + error.msg);
    return std::nullopt;
  }
}

void Reader::read_value(const YAML::Node& value, const YAML::Node& key_node, const Place& place) {
  if (const Key* key = find_key(place.path())) return read_key(value, key_node, *key, place);
  if (is_group(place.path())) return read_group(value, place);
  place.stray(key_node, fmt::format("unknown key {}; did you mean '{}'?", in_quotes(place.path()),
                                    nearest_key(place.path())));
}

void Reader::read_group(const YAML::Node& value, const Place& place) {
  if (value.IsNull()) return;
  if (!value.IsMap()) {
    return place.expected(value,
                          place.path().empty() ? "keys with values, as in 'seed: 1'" : "a map of its keys");
  }
  std::map<std::string, YAML::Node> seen;
  for (const auto& entry : value) {
    const YAML::Node key = entry.first;
    const auto name = as_text(key);
    if (!name || name->empty()) {
      place.expected(key, "a word as key");
      continue;
    }
    const Place inside = place.key(*name);
    const auto [earlier, is_new] = seen.emplace(*name, key);
    if (is_new) {
      read_value(entry.second, key, inside);
    } else {
      inside.stray(key, fmt::format("duplicate key {}; the first is in line {}", in_quotes(inside.path()),
                                    place.origin(earlier->second).line));
    }
  }
}

void Reader::read_key(const YAML::Node& value, const YAML::Node& key_node, const Key& key,
                      const Place& place) {
  const std::size_t before = mistakes_.size();
  if (value.IsNull()) {
    place.mistake(key_node, "has no value; leave the key out for its default");
  } else {
    key.read(value, place, config_);
  }
  if (mistakes_.size() > before) {
    faulty_.insert(key.path);
  } else {
    faulty_.erase(key.path);
  }
  const Origin origin = place.origin(key_node);
  given_[key.path] = origin;
  if (key.excludes.empty()) return;
  const auto other = given_.find(key.excludes);
  if (other != given_.end() && other->second.source == origin.source) {
    place.mistake(key_node, fmt::format("excludes '{}', which is given in line {}; keep one of the two",
                                        key.excludes, other->second.line));
  }
  find_key(key.excludes)->clear(config_);
}

bool Reader::sound(std::initializer_list<const char*> paths) const {
  return std::none_of(paths.begin(), paths.end(), [&](const char* path) { return faulty_.contains(path); });
}

void Reader::check_together(const std::string& path, const std::string& wrong) {
  if (!wrong.empty()) mistakes_.add(given_[path], path, wrong);
}

void Reader::check_input_normalization() {
  const std::size_t means = config_.data.mean.size();
  const std::size_t deviations = config_.data.deviation.size();
  if (means == deviations) return;
  check_together(
      given_.contains("data.std") ? "data.std" : "data.mean",
      fmt::format("data.mean has {} values and data.std has {}; both need one a channel", means, deviations));
}

void Reader::check_validation() {
  // A folder of pictures may have a half for it, which only reading it tells.
  if (config_.data.validation > 0 || config_.data.dataset == DataConfig::Dataset::image_folder) return;
  const std::string wrong =
      "needs a validation split, and data.validation is 0; keep a share of the training set for it, as with "
      "data.validation: 0.1";
  if (config_.checkpoint.best) check_together("checkpoint.best", wrong);
  if (config_.train.early_stopping.patience > 0) check_together("train.early_stopping.patience", wrong);
}

void Reader::check_precision() {
  if (config_.precision != Precision::tf32 || config_.device == ComputeOn::gpu) return;
  check_together(given_.contains("precision") ? "precision" : "device",
                 "tf32 is for GPUs, and device is cpu; set device: gpu, or precision: fp32");
}

void Reader::check_bounds(const std::string& path, const std::vector<double>& bounds, bool may_be_empty) {
  if (!sound({path.c_str()}) || (may_be_empty && bounds.empty())) return;
  if (bounds.size() == 2 && bounds[0] <= bounds[1]) return;
  check_together(path, "expected two numbers, the least and the most, as in [0.5, 1]");
}

Config Reader::finish() {
  if (sound({"normalization.sync", "batch.shards"})) {
    const char* later = given_.contains("normalization.sync") ? "normalization.sync" : "batch.shards";
    check_together(later, check_sync(config_));
  }
  const std::string same = settle_running_stats(config_);
  if (sound({"normalization.running_stats", "normalization.momentum"})) {
    check_together("normalization.running_stats", same);
  }
  if (sound({"data.mean", "data.std"})) check_input_normalization();
  if (sound({"data.validation"})) check_validation();
  if (sound({"device", "precision"})) check_precision();
  check_bounds("data.augment.crop_scale", config_.data.augment.crop_scale, true);
  check_bounds("data.augment.crop_ratio", config_.data.augment.crop_ratio, false);
  mistakes_.raise();
  return config_;
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(most_bytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) {
    throw UsageError(fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno)));
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

Config parse_config(std::string_view yaml, const std::string& name, std::span<const std::string> settings) {
  Reader reader;
  reader.read_file(std::string(yaml), name);
  for (const std::string& setting : settings) reader.read_setting(setting);
  return reader.finish();
}

Config load_config(const std::filesystem::path& file, std::span<const std::string> settings) {
  return parse_config(read_text(file), file.string(), settings);
}

Config with_settings(const Config& config, std::span<const std::string> settings) {
  return parse_config(to_yaml(config), "configuration", settings);
}

Config from_result_json(std::string_view json) {
  try {
    return parse_config(json, "configuration", {});
  } catch (const UsageError& error) {
    throw DataError(
        fmt::format("the configuration that was saved with the model cannot be used:\n{}", error.what()));
  }
}

}  // namespace lockstep
