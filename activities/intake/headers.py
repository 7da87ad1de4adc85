"""What the columns of lists are called: in exports of CRMs and address books, and in many languages."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from activities.intake.places import plain

OTHERS = ("full_name", "other_email", "other_phone", "unsubscribed_email", "unsubscribed_sms")
"""What a column may be beside the columns of a contact: a whole name, further addresses, and who wants nothing."""
HALVES = ("first_name", "last_name")
HALF = "half"
"""A name, of which another column may hold the rest."""
SELDOM = "seldom"
"""A number at work or at home, which others may share: it is taken only where there is no other."""

_WORDS = {
    "external_id": """
        externalid external customerid clientid contactid memberid userid personid recordid recordidcontact crmid
        customernumber
        customerno customernr customercode clientnumber clientno clientcode membernumber memberno membershipnumber
        kundennummer kundennr kdnr kundenid debitorennummer mitgliedsnummer kontaktid identifiant idclient nclient
        noclient numeroclient numerodeclient codeclient idcliente iddecliente clienteid codigocliente
        codigodecliente numerodecliente codicecliente klantnummer klantnr klantid idklienta numerklienta kundnummer
        kundnr kundenummer kundeid asiakasnumero musterino 客户编号 客户id 客户号 客户代码 会员号 会员id 会员编号 用户id
        用户编号 编号 客戶編號 顧客id 顧客番号 顧客コード 会員番号 고객번호 고객id idклиента номерклиента uuid guid id
        """,
    "email": """
        email mail emailaddress mailaddress emailid primaryemail primaryemailaddress mainemail emailprimary
        contactemail customeremail useremail personemail personalemail privateemail workemail businessemail emailwork
        emailhome personemailwork personemailhome emailvalue emailadresse mailadresse emaildienstlich emailprivat
        adresseemail adressemail courriel adresseelectronique adressedecourriel adressedemessagerie correo
        correoelectronico emaildireccion direcciondecorreo direcciondecorreoelectronico direccionemail indirizzoemail
        indirizzomail postaelettronica correioeletronico enderecodeemail enderecoemail emailadres mailadres adresemail
        adresyemail adresmailowy pocztaelektroniczna epost epostadress epostadresse sahkoposti sahkopostiosoite
        eposta epostaadresi epostaadresa emailova emailovaadresa emailcim elpastas adresadeemail эпочта элпочта
        электроннаяпочта почта имейл емейл адресэлектроннойпочты メール メールアドレス eメール 電子メール 이메일
        이메일주소 메일 메일주소 邮箱 电子邮箱 电子邮件 邮箱地址 邮件地址 电子邮件地址 电子邮箱地址 邮件 电邮 email地址
        電郵 電子郵件 電子信箱 信箱
        """,
    "other_email": """
        additionalemailaddresses additionalemailaddress additionalemails additionalemail secondaryemail
        secondaryemailaddress alternateemail alternateemailaddress alternativeemail otheremailaddress otheremails
        secondemail weitereemails weitereemail weitereemailadressen weitereemailadresse zweiteemail zweiteemailadresse
        """,
    "other_phone": "additionalphone additionalphonenumber additionalphonenumbers secondaryphone alternatephone"
    " alternativephone otherphonenumber otherphonenumbers weiteretelefonnummer weiteretelefonnummern",
    "phone": """
        mobile mobilephone mobilephonenumber mobilenumber mobileno cell cellphone cellnumber cellphonenumber
        phonemobile personphonemobile handy handynummer handynr mobil mobilnummer mobilnr mobiltelefon mobilfunk
        mobilfunknummer telefonmobil mobiltelefonnummer portable telephoneportable telephonemobile telportable
        telmobile numerodeportable gsm gsmnummer movil telefonomovil telmovil celular telefonocelular numerodecelular
        cellulare telefonocellulare telemovel mobiel mobielnummer mobielenummer mobieletelefoon telefonkomorkowy
        komorka matkapuhelin ceptelefonu мобильный мобильныйтелефон сотовый сотовыйтелефон 手机 手机号 手机号码 移动电话
        手機 手機號碼 行動電話 携帯 携帯電話 携帯番号 携帯電話番号 휴대폰 휴대전화 휴대폰번호 핸드폰 msisdn whatsapp
        whatsappnumber sms smsphonenumber phone phonenumber phoneno phonevalue primaryphone primaryphonenumber mainphone
        phoneprimary contactphone contactnumber customerphone telephone telephonenumber tel telno telnr telefon
        telefonnummer telefonnr rufnummer fon numerodetelephone numtelephone ntelephone telefono numerodetelefono
        numerotelefono telefone numerodetelefone telefoon telefoonnummer numertelefonu nrtelefonu puhelin
        puhelinnumero telefonszam telefonnicislo telefonnicisla телефон номертелефона 电话 电话号码 联系电话 联系方式
        電話 電話號碼 聯絡電話 電話番号 전화 전화번호 연락처 defaultaddressphone
        """,
    "country": """
        country countrycode countryregion countryname iso2 isocountry countryiso land laendercode landercode
        landeskennzeichen landregion pays codepays pais paese stato kraj maa orszag zeme krajina tara ulke страна 国家
        国家地区 國家 国 国名 国籍 국가 나라 mailingcountry homecountry homecountryregion primaryaddresscountry
        addresscountry address1country defaultaddresscountrycode defaultaddresscountry billingcountry shippingcountry
        businesscountry businesscountryregion landregionprivat landregiongeschaftlich othercountry staat nation
        """,
    "locale": """
        locale language lang languagecode preferredlanguage preferredlocale sprache sprachcode korrespondenzsprache
        langue idioma lingua taal jezyk jazyk sprak sprog kieli nyelv limba dil язык 语言 語言 言語 언어
        """,
    "time_zone": """
        timezone tz zeitzone fuseauhoraire fuseau zonahoraria fusoorario fusohorario tijdzone strefaczasowa tidszon
        tidszone часовойпояс 时区 時區 タイムゾーン 시간대
        """,
    "stage": "stage lifecyclestage lifecycle status 阶段",
    "tags": """
        tags tag labels label groupmembership categories schlagworte schlagworter stichworte kategorien etiquettes
        etiquetas etichette trefwoorden tagi 标签 標籤 タグ
        """,
    "consent_email": """
        consentemail emailconsent emailoptin optinemail emailmarketingconsent acceptsemailmarketing acceptsmarketing
        newsletter newsletteroptin newsletteranmeldung marketingconsent emailpermission emailsubscribed
        werbeeinwilligung optin doubleoptin 邮件许可
        """,
    "consent_sms": "consentsms smsconsent smsoptin optinsms smsmarketingconsent acceptssmsmarketing 短信许可",
    "unsubscribed_email": """
        unsubscribedemail emailoptout optoutemail hasoptedoutofemail unsubscribedfromallemail unsubscribed donotemail
        optout optedout keinnewsletter desabonne
        """,
    "unsubscribed_sms": "unsubscribedsms smsoptout optoutsms hasoptedoutofsms",
    "full_name": """
        fullname contactname customername displayname personname namefull vollername vollstandigername vorundnachname
        vornamename vornamenachname kontaktname ansprechpartner nomcomplet nometprenom prenometnom nombrecompleto
        nombreyapellidos nomecompleto nomeecognome nomecognome volledigenaam imieinazwisko adsoyad фио полноеимя 姓名
        客户姓名 联系人 联系人姓名 氏名 名前 お名前 성명 고객명
        """,
    "first_name": """
        firstname givenname forename fname first vorname vornamen prenom prenoms primernombre voornaam imie fornamn
        fornavn etunimi keresztnev jmeno krestnijmeno meno prenume 名 名字
        """,
    "last_name": """
        lastname surname familyname lname last nachname familienname zuname nomdefamille apellido apellidos
        primerapellido cognome sobrenome apelido achternaam nazwisko efternamn etternavn efternavn sukunimi vezeteknev
        prijmeni priezvisko soyad soyadi фамилия 姓 姓氏 성
        """,
    "company": """
        companyname organization organisation organizationname organization1name account accountname associatedcompany
        firma firmenname unternehmen societe entreprise empresa azienda ditta bedrijf bedrijfsnaam foretag
        компания 公司 公司名称 单位 会社 会社名 회사
        """,
    "birthday": """
        birthdate dateofbirth dob geburtstag geburtsdatum datedenaissance naissance fechadenacimiento cumpleanos
        datadinascita datadenascimento nascimento geboortedatum dataurodzenia fodelsedag fodelsedato датарождения 生日
        出生日期 生年月日 생일 생년월일
        """,
    "city": "town mailingcity billingcity homecity businesscity ort stadt wohnort ville ciudad citta cidade plaats stad"
    " miasto город 城市 市 도시",
    "zip": "zipcode postalcode postcode zippostalcode plz postleitzahl codepostal codigopostal cap cep 邮编 邮政编码",
    "street": "address mailingstreet billingstreet streetaddress address1 strasse adresse adresse1 rue direccion calle"
    " indirizzo via endereco adres 地址 街道",
    SELDOM: """
        homephone workphone businessphone officephone otherphone companyphone phonework phonehome personphonework
        personphonehome landline landlinenumber telefonprivat telefongeschaftlich telefondienstlich festnetz
        festnetznummer telefonfestnetz telephonefixe telfixe fixe telephonedomicile telephonebureau
        telephoneprofessionnel telefonofijo telefonotrabajo telefonocasa telefonofisso vastetelefoon
        座机 固定电话 公司电话 办公电话 固话
        """,
    HALF: "name nom nombre nome naam namn navn nimi nev nume ad isim имя 이름",
}  # fmt: skip


class Meaning(NamedTuple):
    """What a header may mean: a field (or HALF or SELDOM), how plainly it says so (0 is plainest), and which of several
    it is, as in `E-mail 2 Address`."""

    field: str
    rank: int
    number: int = 0


def word(header: str) -> str:
    """A header without case, accents and marks: `E-Mail-Adresse` is emailadresse."""
    return plain(header).replace(" ", "")


def meaning(header: str) -> Meaning | None:
    """What a header means as far as it is known."""
    said = word(header)
    if found := _known().get(said):
        return found
    if (numbered := re.fullmatch(r"(\D+)([1-9])(\D*)", said)) and (
        found := _known().get(numbered[1] + numbered[3])
    ):  # fmt: skip
        return found._replace(number=int(numbered[2])) if found.field in ("email", "phone", SELDOM) else None
    return None


@cache
def names_birthday(name: str) -> bool:
    """Whether a field is somebody's birthday, of which the year may be missing."""
    found = meaning(name)
    return word(name) == "birthday" or (found is not None and found.field == "birthday")


def words() -> dict[str, str]:
    """Every word that is known, and its field."""
    return {said: found.field for said, found in _known().items()}


@cache
def _known() -> dict[str, Meaning]:
    return {
        word(said): Meaning(field, rank)
        for field, said_of_it in _WORDS.items()
        for rank, said in enumerate(said_of_it.split(), 1)
    }
