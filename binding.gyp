# A second door into the same room: node-gyp runs the one build, which is CMake's (see native/build.js).
{
  "targets": [
    {
      "target_name": "culvert",
      "type": "none",
      "actions": [
        {
          "action_name": "build_with_cmake",
          "inputs": [],
          "outputs": ["build/native/Release/culvert.node"],
          "action": ["node", "native/build.js"]
        }
      ]
    }
  ]
}
