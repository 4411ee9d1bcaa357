"""Agents and numbers as the HTTP API answers them, and the settings that calls and agents share."""

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

import directory
from api_answers import ApiAnswer, moment
from phonebridge.answering import Method, OnMachine
from phonebridge.cursor import cursor_of
from phonebridge.tools import Tools


class TurnDetection(ApiAnswer):
    type: str
    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    idle_timeout_ms: int | None
    eagerness: str
    create_response: bool
    interrupt_response: bool


class Tool(ApiAnswer):
    """What was declared, without what is secret in it."""

    type: str
    name: str
    url: str | None = None


def _shown(tools: Tools) -> list[Tool]:
    return [
        *(Tool(type="function", name=each.name, url=each.url) for each in tools.functions),
        *(Tool(type="mcp", name=each.label, url=each.url) for each in tools.mcp_servers),
        *(Tool(type=each, name=each) for each in tools.built_in),
    ]


class MachineDetection(ApiAnswer):
    mode: OnMachine
    message: str | None
    method: Method


class Transcription(ApiAnswer):
    model: str
    prompt: str | None
    keywords: list[str]


class Config(ApiAnswer):
    instructions: str
    model: str | None
    voice: str
    speed: float | None
    greeting: str | None
    language: str | None
    temperature: float | None
    turn_detection: TurnDetection
    noise_reduction: str | None
    noise_reduction_strength: float | None
    transcription: Transcription
    reasoning_effort: str | None
    max_output_tokens: int | None
    max_duration_seconds: int
    idle_timeout_seconds: int | None
    idle_prompts: int
    barge_in_min_ms: int
    codec: str
    machine_detection: MachineDetection | None
    record: bool
    webhook_url: str | None
    record_dtmf: bool
    stream_setup: str
    tools: Annotated[list[Tool], BeforeValidator(_shown)]


class Agent(Config):
    """What a call gets that says nothing of its own."""

    name: str
    changed_at: datetime


class ChangedAgent(Agent):
    warnings: list[str]


class NamedAgent(ApiAnswer):
    name: str
    changed_at: datetime


class AgentList(ApiAnswer):
    agents: list[NamedAgent]
    cursor: Annotated[str | None, Field(description="Asks for the next page; null on the last.")]


class Number(ApiAnswer):
    number: str
    agent: str
    changed_at: datetime


class NumberList(ApiAnswer):
    numbers: list[Number]
    cursor: Annotated[str | None, Field(description="Asks for the next page; null on the last.")]


def agent(found: directory.Agent) -> Agent:
    return Agent(**_of_agent(found))


def changed_agent(changed: directory.Agent, warnings: list[str]) -> ChangedAgent:
    return ChangedAgent(**_of_agent(changed), warnings=warnings)


def _of_agent(found: directory.Agent) -> dict[str, Any]:
    config = found.config()
    settings = {each.name: getattr(config, each.name) for each in fields(config)}
    return settings | {"name": found.name, "changed_at": moment(found.changed_at_ms)}


def listed_agents(found: list[directory.Agent], limit: int) -> AgentList:
    shown = [NamedAgent(name=each.name, changed_at=moment(each.changed_at_ms)) for each in found]
    cursor = cursor_of(shown[limit - 1].name) if shown[limit:] else None
    return AgentList(agents=shown[:limit], cursor=cursor)


def number(assigned: directory.Assignment) -> Number:
    changed_at = moment(assigned.changed_at_ms)
    return Number(number=assigned.number, agent=assigned.agent, changed_at=changed_at)


def listed_numbers(found: list[directory.Assignment], limit: int) -> NumberList:
    shown = [number(each) for each in found]
    cursor = cursor_of(shown[limit - 1].number) if shown[limit:] else None
    return NumberList(numbers=shown[:limit], cursor=cursor)
