namespace culvert { const char* EngineVersion() { return "0.1.0"; } }
