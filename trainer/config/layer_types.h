#pragma once

#include <deque>
#include <string>
#include <vector>

#include "layers/model/spec.h"
#include "trainer/config/entry.h"

// The table of layers that `model.layers` may hold. A new layer is added in layer_types.cpp; custom_layers.h
// adds those that a program brings along.
namespace lockstep {

struct LayerType {
  std::string word;          // "conv2d"
  std::string default_name;  // unnamed ones are called conv1, conv2, ...
  std::string meaning;
  LayerSpec fresh;                           // all defaults
  std::vector<Entry<LayerSpec>> attributes;  // those without `read` are lists of layers
  std::vector<std::string> required;         // attributes without a default
};

// In the order of the manual.
const std::deque<LayerType>& layer_types();
void add_layer_type(LayerType type);
// The type of that word, or null.
const LayerType* find_layer_type(const std::string& word);
const LayerType& layer_type_of(const LayerSpec& layer);

// Whether it is made of letters, digits and '_', as names and words of layers are.
bool is_name(const std::string& text);

// All attributes and names spelled out.
Json write_layers(const std::vector<LayerSpec>& layers);

// The table in Markdown.
std::string layers_markdown();

}  // namespace lockstep
