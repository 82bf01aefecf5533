"""Confirmation: the page between an operator's click and what it does."""

from collections.abc import Sequence
from dataclasses import dataclass

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from .resource import ResourceAdmin


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked before it is done."""

    title: str
    text: str
    """What it will do, to whom, and what it will not."""

    button: str
    form: forms.Form
    cancel_url: str
    action: str = ""
    """Name of the list's action, if it is one."""

    selected: Sequence[str] = ()
    """SIDs that the action was asked for."""


def ask(
    model_admin: ResourceAdmin, request: HttpRequest, question: Question
) -> HttpResponse:
    """Show the question; the answer comes to the same address, as a POST."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "opts": model_admin.opts,
        "media": model_admin.media + question.form.media,
        "question": question,
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "admin/sync_streams/confirmation.html", context)
