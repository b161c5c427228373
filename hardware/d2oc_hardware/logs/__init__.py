"""Logs of flights read back, whoever flew them: telemetry logs (tlog), DataFlash of ArduPilot, ULog of PX4."""
