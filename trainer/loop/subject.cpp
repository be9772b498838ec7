#include "trainer/loop/subject.h"

#include <fmt/format.h>

#include "comm/base/error.h"
#include "trainer/config/config.h"
#include "trainer/loop/weights.h"

namespace lockstep {
namespace {

bool tells_what_it_is(const SafetensorsFile& contents) {
  return contents.metadata().contains("format_version") || contents.metadata().contains("config");
}

Datasets open_data(const std::filesystem::path& file, Config& config) {
  if (config.data.path.empty()) config.data.path = data_path_of_run(file);
  return open_datasets(config.data, config.seed);
}

void check_fits(const Dataset& dataset, const InputFacts& input) {
  if (dataset.shape() == input.shape && dataset.classes() == input.classes) return;
  throw DataError(
      fmt::format("the data set has images of {} in {} classes, but the model was trained on {} in {}",
                  to_string(dataset.shape()), dataset.classes(), to_string(input.shape), input.classes));
}

Facts facts_of(const Datasets& data, const DataConfig& config) {
  Facts facts;
  facts.input = {data.train->shape(), data.train->classes()};
  facts.normalization = input_normalization(config, *data.train);
  facts.class_names = data.class_names;
  return facts;
}

Model load_model(const SafetensorsFile& contents, const std::string& name, const Config& config,
                 const InputFacts& input, Element precision) {
  ModelOptions options = model_options(config, input);
  options.inference = precision;
  Model model(std::move(options), 1, 0);
  try {
    load_weights(contents, name, model);
  } catch (const DataError& error) {
    throw DataError(
        fmt::format("{}\nThe file does not tell what it is. It was taken for {}, for images of {} in {} "
                    "classes; --config, "
                    "or --set model.name and those of data, say otherwise",
                    error.what(), config.model.name.empty() ? "model.layers" : config.model.name,
                    to_string(input.shape), input.classes));
  }
  return model;
}

}  // namespace

Subject open_subject(const std::filesystem::path& file, const std::optional<std::string>& config,
                     std::span<const std::string> settings, Element precision) {
  require_precision(precision);
  const std::string name = file.string();
  const SafetensorsFile contents = SafetensorsFile::read(file);
  if (!tells_what_it_is(contents)) {
    Config used = config ? load_config(*config, settings) : parse_config("{}", "defaults", settings);
    Datasets data = open_data(file, used);
    Facts facts = facts_of(data, used.data);
    Model model = load_model(contents, name, used, facts.input, precision);
    return {{std::move(used), std::move(facts), std::move(model)}, std::move(data)};
  }
  if (config) {
    throw UsageError(fmt::format("--config {}: {} tells itself how its model was trained; leave --config out",
                                 *config, name));
  }
  Trained trained = open_trained(contents, name, settings, precision);
  Datasets data = open_data(file, trained.config);
  check_fits(*data.train, trained.facts.input);
  return {std::move(trained), std::move(data)};
}

}  // namespace lockstep
